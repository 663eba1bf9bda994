"""Every request of docs/identity.md is sent, and answered as the page says."""

import json
import re
from typing import Any, cast
from uuid import UUID

from httpx import AsyncClient

from kernel import ids
from storage.database import Database
from support.documents import ROOT
from support.stories import open_engine
from workers.draining import drain

PAGE = (ROOT / "docs" / "identity.md").read_text("utf-8")
EXAMPLE = re.compile(r"```http\n([A-Z]+) (\S+)\n(.*?)```\n```http\n(\d+)\n(.*?)```", re.DOTALL)


class Names(dict[str, str]):
    """What the page calls `$name`: bound where an answer first has it."""

    def fill(self, written: str) -> str:
        """Put what is bound in the place of its name."""
        return re.sub(r"\$(\w+)", lambda found: self.get(found[1], found[0]), written)

    def hold(self, written: Any, answered: Any, at: str = "") -> None:  # Any: JSON
        """Everything that is written must be in the answer."""
        if isinstance(written, dict):
            for name, value in cast("dict[str, Any]", written).items():
                assert name in answered, (at, name, answered)
                self.hold(value, answered[name], f"{at}/{name}")
        elif isinstance(written, list):
            items = cast("list[Any]", written)
            assert len(items) == len(answered), (at, items, answered)
            for place, (one, other) in enumerate(zip(items, answered, strict=True)):
                self.hold(one, other, f"{at}/{place}")
        elif isinstance(written, str) and written.startswith("$"):
            assert self.setdefault(written[1:], answered) == answered, at
        else:
            assert written == answered, (at, written, answered)


async def test_every_request_of_the_page_is_answered_as_it_says(
    alice: AsyncClient, database: Database, tenant_id: UUID
) -> None:
    names, found = Names(), EXAMPLE.findall(PAGE)
    assert len(found) == PAGE.count("```http") / 2 > 8
    for method, path, body, status, answer in found:
        sent = json.loads(names.fill(body)) if body.strip() else None
        headers = {"Idempotency-Key": str(ids.new_id())} if method == "POST" else {}
        got = await alice.request(method, names.fill(path), json=sent, headers=headers)
        assert got.status_code == int(status), (method, path, got.text)
        names.hold(json.loads(answer), got.json())
        async with open_engine(database) as engine:  # what follows by itself
            await drain(engine, tenant_id)
