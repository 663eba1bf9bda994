"""Our flat packages are ours: no dependency may ship a `webhooks` or an `api` that wins over them silently."""

import importlib.util
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
NAMES = sorted(init.parent.name for init in SRC.glob("*/__init__.py"))


@cache
def shippers() -> dict[str, list[str]]:
    return {name: list(distributions) for name, distributions in packages_distributions().items()}


@pytest.mark.parametrize("name", NAMES)
def test_package_is_ours(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert Path(spec.origin or "").is_relative_to(SRC)
    assert name not in sys.stdlib_module_names
    assert set(shippers().get(name, ())) <= {"relance"}  # `pythonpath` hides a shadow here, the metadata does not


@pytest.mark.parametrize("name", ["support", "checks", "bench"])
def test_tools_and_test_helpers_are_not_shadowed(name: str) -> None:
    assert shippers().get(name, []) == []


def test_the_guard_sees_who_ships_a_package() -> None:
    assert shippers()["litestar"] == ["litestar"]


def test_every_folder_of_src_is_a_package_that_says_what_it_owns() -> None:
    folders = sorted(path.name for path in SRC.iterdir() if path.is_dir() and any(path.rglob("*.py")))
    assert folders == NAMES
    silent = [name for name in NAMES if not (SRC / name / "__init__.py").read_text(encoding="utf-8").startswith('"""')]
    assert silent == []
