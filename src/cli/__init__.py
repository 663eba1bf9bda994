"""The `relance` command, the processes that it starts, settings read from the environment, the demo."""

from cli.guard import refuse_shadowed_packages


def main() -> None:
    """Run the `relance` command."""
    refuse_shadowed_packages()
    from cli.commands import relance  # noqa: PLC0415 - the guard comes before any other package of ours

    relance()
