"""Pages whose examples are run: requests in ```http blocks, what they are answered with in ```json blocks after them.

    ```http
    POST /v1/debtors
    {"name": "Boulangerie Petit"}
    ```
    ```json
    {"id": "dbt_01kaa0000000000000000000d1", "name": "Boulangerie Petit"}
    ```

A page is played from its top to its end in a tenant of its own. An answer holds at least what the page shows (lists
exactly as many items); ids of the page stand for the ids that really come, from the first answer that shows them on;
`"…"` stands for any value. ```json 409 expects that status, without a number any of success. A POST gets an
Idempotency-Key of its own.
"""

import json
import re
from pathlib import Path
from typing import Any, Final, cast

from httpx import AsyncClient, Response
from msgspec import Struct

from kernel import ids
from support.documents import ROOT

Json = dict[str, Any]  # Any: values of JSON

ANY: Final = "…"
ID: Final = re.compile(r"[a-z]{3}_0[0-9a-hjkmnp-tv-z]{25}")
BLOCK: Final = re.compile(r"^```(http|json)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SUCCESS: Final = range(200, 300)


class Example(Struct, frozen=True):
    """One request of a page, and what it is answered with."""

    method: str
    path: str
    body: str
    status: int | None
    answer: str | None
    line: int


def examples_of(page: str) -> list[Example]:
    """The examples of a page of `docs/`, in order."""
    text = Path(ROOT / "docs" / page).read_text("utf-8")
    found: list[Example] = []
    for block in BLOCK.finditer(text):
        kind, info, body = block.groups()
        line = text.count("\n", 0, block.start()) + 1
        if kind == "http":
            first, _, rest = body.partition("\n")
            method, _, path = first.partition(" ")
            found.append(Example(method, path.strip(), rest.strip(), None, None, line))
        elif found and found[-1].answer is None:
            last = found.pop()
            status = int(info) if info.strip() else None
            found.append(Example(last.method, last.path, last.body, status, body, last.line))
    return found


class Player:
    """Plays the examples of one page, remembering which id of the page is which."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.known: dict[str, str] = {}

    async def play(self, example: Example) -> Response:
        """Send one request and compare its answer."""
        where = f"line {example.line}: {example.method} {example.path}"
        headers = {"Idempotency-Key": str(ids.new_id())} if example.method == "POST" else {}
        body = json.loads(self.real(example.body)) if example.body else None
        answer = await self.client.request(example.method, self.real(example.path), json=body, headers=headers)
        right = answer.status_code in SUCCESS if example.status is None else answer.status_code == example.status
        assert right, f"{where}: {answer.status_code} {answer.text}"
        if example.answer is not None:
            self.compare(json.loads(example.answer), answer.json(), where)
        return answer

    def real(self, text: str) -> str:
        """A text of the page with the ids that really came."""
        return ID.sub(lambda found: self.known.get(found[0], found[0]), text)

    def compare(self, shown: Any, came: Any, where: str) -> None:  # Any: values of JSON
        """What is shown came; new ids are learnt."""
        if shown == ANY:
            return
        if isinstance(shown, dict):
            fields, others = cast("Json", shown), cast("Json", came)
            assert isinstance(came, dict), f"{where}: {came!r}"
            for name, value in fields.items():
                assert name in others, f"{where}: no {name} in {sorted(others)}"
                self.compare(value, others[name], f"{where} /{name}")
        elif isinstance(shown, list):
            items, present = cast("list[Any]", shown), cast("list[Any]", came)  # Any: values of JSON
            assert isinstance(came, list), f"{where}: {came!r}"
            assert len(present) == len(items), f"{where}: {len(present)} items: {came!r}"
            for place, value in enumerate(items):
                self.compare(value, present[place], f"{where} /{place}")
        elif isinstance(shown, str) and ID.fullmatch(shown):
            assert self.known.setdefault(shown, came) == came, f"{where}: {shown} is {self.known[shown]}, not {came}"
        else:
            assert shown == came, f"{where}: {shown!r} is {came!r}"


async def play_page(client: AsyncClient, page: str, *, at_least: int) -> None:
    """Play a page of `docs/` from its top to its end."""
    examples = examples_of(page)
    assert len(examples) >= at_least, "the page has lost examples"
    player = Player(client)
    for example in examples:
        await player.play(example)
