"""Every request of docs/ageing.md is sent, and answered with what stands below it."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from httpx import AsyncClient

from storage.database import Database
from support.receivables import at_work, make_invoice, make_parties, make_receipt

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ageing.md").read_text("utf-8")
EXAMPLES = re.findall(r"```http\nGET (\S+)\n```\n```json\n(.*?)```", PAGE, re.DOTALL)


def holds(expected: Any, found: Any, at: str = "") -> None:  # Any: JSON
    """Whatever the page shows is in the answer; lists in full, objects by the fields that are shown."""
    if isinstance(expected, dict):
        for name, value in cast("dict[str, Any]", expected).items():
            assert name in found, f"{at}/{name} is not in the answer"
            holds(value, found[name], f"{at}/{name}")
    elif isinstance(expected, list):
        items = cast("list[Any]", expected)
        assert len(found) == len(items), at
        for place, value in enumerate(items):
            holds(value, found[place], f"{at}/{place}")
    else:
        assert found == expected, at


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```http") == 3


@pytest.mark.parametrize(("path", "answer"), EXAMPLES)
async def test_an_example_is_true(
    alice: AsyncClient, database: Database, tenant_id: UUID, path: str, answer: str
) -> None:
    async with at_work(database, tenant_id) as session:
        parties = await make_parties(session)
        await make_invoice(session, parties, "F-1", 1200_00, issued_on=date(2026, 1, 2), due_on=date(2026, 2, 1))
        await make_invoice(session, parties, "F-2", 400_00, issued_on=date(2026, 2, 20), due_on=date(2026, 3, 20))
        await make_receipt(session, parties, 50_00, effective_on=date(2026, 2, 25), reference="VIR 77")
    found = await alice.get(path.replace("{debtor_id}", parties.debtor.id))
    assert found.status_code == 200, found.text
    holds(json.loads(answer), found.json())
