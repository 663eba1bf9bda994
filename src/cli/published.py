"""`relance openapi` and `relance events`: the contract as files, and whether the committed ones are current."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from api.export import event_schemas, openapi_text
from cli.operations import page

FOLDER: Final = Path("openapi")


@click.command()
@click.option("--check", is_flag=True, help="Only say whether openapi/openapi.json is current.")
def openapi(*, check: bool) -> None:
    """Write openapi/openapi.json."""
    _write({FOLDER / "openapi.json": openapi_text()}, check=check)


@click.command()
@click.option("--check", is_flag=True, help="Only say whether openapi/events is current.")
def events(*, check: bool) -> None:
    """Write a JSON Schema per event type to openapi/events."""
    wanted = {FOLDER / "events" / f"{kind}.json": text for kind, text in event_schemas().items()}
    gone = sorted(path for path in (FOLDER / "events").glob("*.json") if path not in wanted)
    if gone and check:
        click.echo(f"{gone[0]} describes an event that no longer exists", err=True)
        sys.exit(1)
    for path in gone:
        path.unlink()
    _write(wanted, check=check)


def _write(files: Mapping[Path, str], *, check: bool) -> None:
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    if check:
        if stale:
            click.echo(f"{stale[0]} is not current ({len(stale)} files): run the command without --check", err=True)
            sys.exit(1)
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], "utf-8")
    click.echo(f"{len(stale)} of {len(files)} files written")


@click.command()
@click.option("--check", is_flag=True, help="Only say whether docs/operations.md is current.")
def settings(*, check: bool) -> None:
    """Write docs/operations.md."""
    _write({Path("docs") / "operations.md": page()}, check=check)
