"""The `relance` command: each subcommand in a module of its own kind, imported when it is asked for.

A worker that starts again after its death must not first read the whole API, the demo and the document readers.
"""

import sys
from importlib import import_module
from typing import Any, Final, cast

import click

from kernel.errors import AppError
from storage.embedded.errors import EmbeddedFailure

# Name → module, and the command in it where it is called otherwise.
COMMANDS: Final = {
    "account": "people", "tenant": "people", "key": "people", "import": "documents:import_", "intake": "intaking",
    "watch": "watching", "serve": "operating", "worker": "operating", "up": "operating", "migrate": "operating",
    "maintain": "operating", "stop": "operating",
    "status": "operating", "demo": "playing", "openapi": "published", "events": "published", "settings": "published",
}  # fmt: skip


class Explained(click.Group):
    """Shows a failure that the caller can act on in two lines, without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        return cast("click.Command", getattr(import_module(f"cli.{module}"), attribute or cmd_name))

    def invoke(self, ctx: click.Context) -> Any:  # Any: click's own
        try:
            return super().invoke(ctx)
        except AppError as error:
            title = type(error).title()
            click.echo(f"{title} {error.detail}".strip(), err=True)
            for fault in error.errors:
                click.echo(f"  {fault.pointer}: {fault.message}", err=True)
            if error.remedy:
                click.echo(error.remedy, err=True)
            sys.exit(1)
        except EmbeddedFailure as failure:  # says by itself what to do
            click.echo(str(failure), err=True)
            sys.exit(1)


@click.group(cls=Explained, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="relance")
def relance() -> None:
    """Relance gets invoices paid: it reads them, reminds in the right words, and tells every system of every change."""
