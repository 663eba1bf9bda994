"""Every example of docs/imports.md about files and push is sent, one after the other, and answered as the page says."""

import json
import re
from typing import Any, cast

from support.documents import ROOT
from support.file_imports import Files

PAGE = (ROOT / "docs" / "imports.md").read_text("utf-8")
EXAMPLE = re.compile(r"```http\n(?P<request>.*?)```\n\n```json\n(?P<answer>.*?)```", re.DOTALL)


def unlike(said: Any, found: Any, at: str = "") -> list[str]:  # Any: JSON
    """Where an answer is not what the page says of it; what the page leaves out may be anything."""
    if isinstance(said, dict) and isinstance(found, dict):
        wanted, given = cast("dict[str, Any]", said), cast("dict[str, Any]", found)  # Any: JSON
        return [fault for name in wanted for fault in unlike(wanted[name], given.get(name), f"{at}/{name}")]
    if isinstance(said, list) and isinstance(found, list):
        items, others = cast("list[Any]", said), cast("list[Any]", found)  # Any: JSON
        if len(items) != len(others):
            return [f"{at}: {len(others)} items"]
        return [fault for place, each in enumerate(items) for fault in unlike(each, others[place], f"{at}/{place}")]
    return [] if said == found else [f"{at}: {found!r}"]


async def test_each_example_is_answered_as_the_page_says(files: Files) -> None:
    known = {"crd": await files.creditor()}
    examples = list(EXAMPLE.finditer(PAGE))
    assert len(examples) >= 16
    for example in examples:
        request = re.sub(r"\{(upl|imp|crd)\}", lambda match: known[match[1]], example["request"])
        head, _, body = request.partition("\n\n")
        line, *extra = head.strip().splitlines()
        method, _, path = line.partition(" ")
        headers = {"content-type": "application/json"} | {
            name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in extra)
        }
        content = body.strip() + "\n" if body.strip() else None
        answer = await files.client.request(
            method, path, content=None if content is None else content.encode(), headers=headers if content else {}
        )
        assert answer.status_code < 300, (line, answer.text)
        found = answer.json()
        assert unlike(json.loads(example["answer"]), found) == [], (line, found)
        if isinstance(found.get("id"), str):
            known[found["id"][:3]] = found["id"]
        if path.endswith(("/run", "/undo", "/decide")):
            done = await files.worked(known["imp"])
            assert done["state"] in {"done", "undone"}, done
    assert [row[4] for row in await files.state() if row[0] == "P-1"] == ["open"]
