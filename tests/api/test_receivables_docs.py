"""The page about receivables: each of its requests is sent, each of its answers comes."""

from httpx import AsyncClient

from receivables.imputation import RULES
from support.documents import ROOT
from support.examples import play_page


async def test_every_example_of_the_page_is_true(alice: AsyncClient) -> None:
    await play_page(alice, "receivables.md", at_least=30)


def test_every_rule_of_allocation_is_explained() -> None:
    page = (ROOT / "docs" / "receivables.md").read_text("utf-8")
    assert [rule for rule in RULES if f'`"{rule.value}"`' not in page] == []
