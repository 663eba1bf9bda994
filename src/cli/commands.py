"""The `relance` command: each subcommand in a module of its own kind."""

import sys
from typing import Any

import click

from cli import documents, operating, people, playing, published
from kernel.errors import AppError
from storage.embedded.errors import EmbeddedFailure


class Explained(click.Group):
    """Shows a failure that the caller can act on in two lines, without a traceback."""

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


for command in (
    people.account, people.tenant, people.key, documents.import_, operating.serve, operating.worker, operating.up,
    operating.migrate, operating.maintain, operating.stop, operating.status, playing.demo, published.openapi,
    published.events, published.settings,
):  # fmt: skip
    relance.add_command(command)
