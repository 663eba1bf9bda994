import subprocess
import sys

from cli.commands import COMMANDS, relance

LIMIT_S = 60


def test_every_command_is_where_the_table_says() -> None:
    with relance.make_context("relance", ["status"]) as context:
        found = {name: relance.get_command(context, name) for name in COMMANDS}
        assert {name for name, command in found.items() if command is None or command.name != name} == set()
        assert relance.get_command(context, "nonsense") is None


def test_a_worker_reads_neither_the_api_nor_the_documents() -> None:
    code = (
        "import sys, cli.operating; print([n for n in ('litestar', 'uvicorn', 'lxml', 'facturx') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=LIMIT_S)
    assert said.stdout.strip() == "[]"
