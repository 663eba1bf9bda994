"""`relance import rows`, as a person and as a program call it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands import relance
from storage.database import Urls
from support.file_imports import line, table


@pytest.fixture
def creditor_id(database_urls: Urls, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    settings = {
        "RELANCE_DATABASE_URL": database_urls.app,
        "RELANCE_REDIS_URL": redis_url,
        "RELANCE_KEY_FILE": str(tmp_path / "key"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    call("account", "create", "acme")
    made = call("tenant", "create", "acme-test", "--account", "acme", "--sandbox", "--json", "--creditor", "Atelier")
    return str(json.loads(made.stdout)["creditor_id"])


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(relance, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(path: Path, *options: str) -> Result:
    return call("import", "rows", str(path), "--tenant", "acme-test", *options)


def test_rows_are_tried_brought_in_and_told(creditor_id: str, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(table(line(1), line(2), "F-3;x;;Petit;;1,00;1,00"), "utf-8")
    tried = rows(path, "--dry-run")
    assert "2 created, 1 refused (nothing was brought in)" in tried.stdout
    assert f"{path}:4  refused  F-3  bad_date: Date facture" in tried.stdout
    done = [json.loads(each) for each in rows(path, "--json").stdout.splitlines()]
    assert [(each["line"], each["status"], each["reason"]) for each in done] == [
        (2, "created", None), (3, "created", None), (4, "refused", "bad_date"),
    ]  # fmt: skip
    path.write_text(table(line(1)), "utf-8")
    again = rows(path, "--snapshot", "--creditor", creditor_id)
    assert "1 unchanged" in again.stdout


@pytest.mark.usefixtures("creditor_id")
def test_what_cannot_be_read_is_said_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("a;b\n1;2\n", "utf-8")
    result = rows(path)
    assert result.exit_code == 1
    assert "columns_missing" in result.output or "no column was found" in result.output
