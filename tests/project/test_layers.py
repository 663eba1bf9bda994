"""The layers that import-linter enforces are those of the folders that exist, so that no package escapes them."""

import re
import tomllib
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[2]
EXISTING = {init.parent.name for init in (ROOT / "src").glob("*/__init__.py")}


def settings() -> dict[str, Any]:  # Any: TOML
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return cast("dict[str, Any]", project["tool"]["importlinter"])  # Any: TOML


def contract(name: str) -> dict[str, Any]:  # Any: TOML
    return next(one for one in settings()["contracts"] if one["name"] == name)


def test_every_package_is_in_the_layers() -> None:
    layers = cast("list[str]", contract("layers")["layers"])
    named = re.findall(r"\(?\b[a-z_]+\b\)?", " ".join(layers))
    required = {name for name in named if "(" not in name}
    assert set(settings()["root_packages"]) == EXISTING == required


def test_a_room_of_one_library_leaves_no_other_package_out() -> None:
    owners = {
        "litestar stays in api": {"api"},
        "arq stays in workers": {"workers"},
        "one HTTP client, in runtime": {"runtime"},
        "no second HTTP client, no second struct library": set[str](),
        "PDF and XML of invoices stay in billing_connectors": {"billing_connectors", "cli"},
        "mail transport stays in messaging": {"messaging"},
        "kernel is pure": EXISTING - {"kernel"},
    }
    assert {one["name"] for one in settings()["contracts"]} == {"layers", *owners}
    for name, owner in owners.items():
        assert set(contract(name)["source_modules"]) == EXISTING - owner, name
