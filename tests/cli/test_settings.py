from pathlib import Path

import pytest

from cli.operations import page
from cli.settings import VARIABLES, SettingInvalid, read

DOCS = Path(__file__).parents[2] / "docs"


def test_the_operations_page_is_current() -> None:
    assert (DOCS / "operations.md").read_text("utf-8") == page()


def test_without_settings_everything_runs_on_this_machine() -> None:
    settings = read({})
    assert settings.embedded_database
    assert settings.redis_url is None
    assert settings.lease.total_seconds() == 30


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"RELANCE_PORT": "eighty"}, "RELANCE_PORT"),
        ({"RELANCE_PORT": "70000"}, "RELANCE_PORT"),
        ({"RELANCE_LEASE_S": "0"}, "RELANCE_LEASE_S"),
        ({"RELANCE_DATABSE_URL": "x"}, "RELANCE_DATABSE_URL"),
        ({"RELANCE_DATABASE_URL": "postgresql+asyncpg://x"}, "RELANCE_KEY_FILE"),
        ({"RELANCE_ALLOW_PRIVATE": "10.0.0.0/33"}, "RELANCE_ALLOW_PRIVATE"),
        ({"RELANCE_LOG_FORM": "xml"}, "RELANCE_LOG_FORM"),
        ({"RELANCE_LOG_LEVEL": "loud"}, "RELANCE_LOG_LEVEL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingInvalid) as refusal:
        read(given)
    assert said in refusal.value.detail


def test_what_is_logged_and_how_is_a_setting() -> None:
    logs = read({"RELANCE_LOG_FORM": "json", "RELANCE_LOG_LEVEL": "warning"}).logs
    assert (logs.form, logs.level) == ("json", "warning")


def test_every_setting_is_documented_once() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names))
