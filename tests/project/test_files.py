"""Files stay short and are named for what they do."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 400
LONGER: dict[str, str] = {}  # path → why it would read worse in two
ATTRACTS_EVERYTHING = {"utils", "util", "common", "helper", "helpers", "manager", "managers", "service", "services"}
FOLDERS = ("src", "tests", "checks", "bench")
FILES = sorted(str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_files_are_short() -> None:
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = {path: count for path, count in lengths.items() if count > MAX_LINES}
    assert sorted(long) == sorted(LONGER), long


def test_modules_are_verbs_or_plural_nouns() -> None:
    assert [path for path in FILES if ATTRACTS_EVERYTHING & set(Path(path).with_suffix("").parts)] == []


@pytest.mark.parametrize("folder", ["tests"])
def test_test_folders_are_no_packages(folder: str) -> None:
    assert list((ROOT / folder).rglob("__init__.py")) == []
