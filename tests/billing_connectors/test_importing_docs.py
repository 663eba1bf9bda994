"""The page about imports names every reason and every warning, and the ranks as they are."""

import re
from pathlib import Path

from billing_connectors.merging import rank_of
from support.documents import ROOT

PAGE = (ROOT / "docs" / "imports.md").read_text("utf-8")
SOURCES = [path.read_text("utf-8") for path in Path(ROOT / "src" / "billing_connectors").rglob("*.py")]
REASONS = re.compile(
    r'(?:Rejected|refuse|Seller)\((?:None, )?\s*"([a-z_]+)"|required\("[a-z_]+", "([a-z_]+)"|reason="([a-z_]+)"'
    r'|_refused\("([a-z_]+)"|\.reason = "([a-z_]+)"|settle\("(?:rejected|quarantined)", "([a-z_]+)"'
    r'|_only\([^\n]*, "([a-z_]+)"\)'
)
WARNINGS = re.compile(
    r'(?:warnings\.append|Match\(warning=|warnings=)[\[(]?"?([a-z_]+)"|warnings=\(\*\w+(?:\.warnings)?, "([a-z_]+)"\)'
    r'|Carried\([^\n]*\("([a-z_]+)",\)'
    r'|yield "([a-z_]+)"$|^ {8,12}\("([a-z_]+)", [^"\n]+\),$',
    re.MULTILINE,
)


def found(pattern: re.Pattern[str]) -> set[str]:
    return {code for source in SOURCES for match in pattern.finditer(source) for code in match.groups() if code}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_reason_is_explained() -> None:
    codes = found(REASONS)
    assert {"not_our_sale", "conflicting_total", "missing_kind", "creditor_ambiguous", "too_large"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in section("Reasons")) == []


def test_every_warning_is_explained() -> None:
    codes = found(WARNINGS)
    assert {"seller_unchecked", "debtor_ambiguous", "due_date_missing", "xsd_invalid"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in section("Warnings")) == []


def test_nothing_is_explained_that_does_not_exist() -> None:
    explained = set(re.findall(r"`([a-z_]+)`", section("Reasons") + section("Warnings")))
    assert explained - found(REASONS) - found(WARNINGS) == set()


def test_the_ranks_are_as_written() -> None:
    rows = re.findall(r"^\| (`.+`[^|]*) \| (\d+) \|$", section("Whose word counts"), re.MULTILINE)
    ranks = {source: int(rank) for sources, rank in rows for source in re.findall(r"`([a-z0-9-]+)`", sources)}
    assert len(ranks) >= 9
    assert ranks == {source: rank_of(source) for source in ranks}
