"""The command, as a person and as a program call it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands import relance
from storage.database import Urls
from support.documents import make_cii

FIELDS = [
    "file", "status", "reason", "kind", "number", "issued_on", "due_on", "due_on_source",
    "due_on_computed", "currency", "total_minor",
    "amount_due_minor", "seller_ids", "buyer_name", "warnings",
]  # fmt: skip
TABLE = (
    "Numéro de facture;Date facture;Client;Montant TTC;Devise\nF-1;02/03/2026;Marchal;120,00;EUR\nF-2;;Marchal;1;EUR\n"
)


@pytest.fixture
def run(database_urls: Urls, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "type[Runner]":
    settings = {
        "RELANCE_DATABASE_URL": database_urls.app,
        "RELANCE_REDIS_URL": redis_url,
        "RELANCE_KEY_FILE": str(tmp_path / "key"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    Runner.call("account", "create", "acme")
    return Runner


class Runner:
    """Calls the command in this process."""

    @staticmethod
    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(relance, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    @staticmethod
    def documents(*arguments: str) -> Result:
        return Runner.call("import", "documents", "--tenant", "acme-test", *arguments)


def make_tenant(runner: type[Runner], *options: str) -> str:
    result = runner.call("tenant", "create", "acme-test", "--account", "acme", "--sandbox", "--json", *options)
    assert result.exit_code == 0, result.output
    return str(json.loads(result.stdout)["creditor_id"])


def test_one_json_object_a_line_with_the_fields_that_were_promised(run: type[Runner], tmp_path: Path) -> None:
    make_tenant(run, "--creditor", "Atelier Belleville SARL", "--legal-id", "siren:903821654")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.xml").write_bytes(make_cii())
    (folder / "b.csv").write_text(TABLE)
    (folder / "c.txt").write_bytes(b"\x00\x01")
    result = run.documents("--json", str(folder))
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(line) for line in lines] == [FIELDS] * 4
    assert [(Path(line["file"]).name, line["status"], line["reason"]) for line in lines] == [
        ("a.xml", "imported", None),
        ("b.csv", "imported", None),
        ("b.csv", "rejected", "missing_date"),
        ("c.txt", "rejected", "bad_encoding"),
    ]
    assert lines[0] | {"file": "", "warnings": []} == {
        "file": "", "status": "imported", "reason": None, "kind": "invoice", "number": "FA-2026-0107",
        "issued_on": "2026-03-02", "due_on": "2026-04-02", "due_on_source": "document",
        "due_on_computed": None, "currency": "EUR",
        "total_minor": 12_000, "amount_due_minor": 12_000, "buyer_name": "Boulangerie Marchal", "warnings": [],
        "seller_ids": [{"scheme": "vat", "value": "FR40903821654"}],
    }  # fmt: skip
    assert set(lines[3].values()) == {lines[3]["file"], "rejected", "bad_encoding", None}
    again = run.documents("--json", str(folder))
    assert [json.loads(line)["status"] for line in again.stdout.splitlines()] == [
        "unchanged", "unchanged", "rejected", "rejected",
    ]  # fmt: skip


def test_a_person_reads_what_needs_a_look_and_the_counts(run: type[Runner], tmp_path: Path) -> None:
    make_tenant(run, "--creditor", "Ours")
    (tmp_path / "export.csv").write_text(TABLE)
    result = run.documents(str(tmp_path / "export.csv"))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{tmp_path / 'export.csv'}:3  rejected  missing_date: Date facture: the cell is empty",
        "1 imported, 1 rejected",
    ]


def test_a_creditor_and_a_mapping_are_named(run: type[Runner], tmp_path: Path) -> None:
    creditor_id = make_tenant(run, "--creditor", "Ours", "--legal-id", "siren:552100554")
    (tmp_path / "in.xml").write_bytes(make_cii())
    (tmp_path / "table.csv").write_text("Ref;Day;Who;Sum\nF-1;2026-03-02;Marchal;120.00\n")
    columns = {"Ref": "number", "Day": "issued_on", "Who": "buyer_name", "Sum": "total"}
    (tmp_path / "mapping.json").write_text(json.dumps({"columns": columns, "currency": "EUR"}))
    options = ("--json", "--creditor", creditor_id, "--mapping", str(tmp_path / "mapping.json"))
    result = run.documents(*options, str(tmp_path / "in.xml"), str(tmp_path / "table.csv"))
    assert [json.loads(line)["reason"] for line in result.stdout.splitlines()] == ["not_our_sale", None]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("/no/such/file",), 2, "does not exist"),
        ((), 2, "Missing argument"),
        (("--mapping", "nonsense", "."), 1, "There is no CSV mapping of this name."),
        (("--creditor", "crd_00000000000000000000000000", "."), 1, "There is no such creditor."),
        (("--creditor", "nonsense", "."), 1, "There is no such"),
        (("--tenant", "nobody", "."), 1, "There is no such tenant."),
    ],
)
def test_what_was_asked_wrongly_is_said(
    run: type[Runner], tmp_path: Path, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    make_tenant(run, "--creditor", "Ours")
    result = run.documents(*(str(tmp_path) if each == "." else each for each in arguments))
    assert (result.exit_code, said in result.output) == (exit_code, True), result.output
