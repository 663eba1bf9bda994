"""What `make check` says of migrations it says for a reason: each flaw that is planted here is named."""

import pytest
from sqlalchemy import CheckConstraint, Column, Index, MetaData, Text

from checks.migrations import drift, lint
from cli.schema import metadata
from storage.database import Database


async def test_a_model_that_no_migration_follows_is_seen(database: Database) -> None:
    models = MetaData(schema="app")
    for table in metadata.sorted_tables:
        table.to_metadata(models)
    hold = models.tables["app.hold"]
    hold.append_column(Column("colour", Text))
    hold.append_constraint(CheckConstraint("reason <> 'none'", name="planted"))
    Index("planted", hold.c.tenant_id, hold.c.reason)
    models.tables["app.tick"].c.fence.server_default = None
    async with database.engine("owner").connect() as connection:
        await connection.exec_driver_sql("create table app.forgotten (tenant_id uuid primary key)")
        found = await connection.run_sync(drift, models)
    named = [fault.removeprefix("drift from the models: ") for fault in found]
    for wanted in (
        "missing column hold colour text",
        "missing constraint hold planted CHECK",
        "missing CREATE INDEX planted ON app.hold USING btree (tenant_id, reason)",
        "missing column tick fence bigint not null",
        "besides table forgotten",
    ):
        assert any(fault.startswith(wanted) for fault in named), wanted


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("create index planted on app.hold (tenant_id, reason)", "require-concurrent-index-creation"),
        ("alter table app.hold add column colour text not null", "adding-required-field"),
        ("alter table app.hold alter column reason type varchar(10)", "changing-column-type"),
        ("alter table app.hold drop column reason", "ban-drop-column"),
        ("alter table app.hold rename column reason to why", "renaming-column"),
        ("alter table app.hold add constraint planted check (reason <> '') ", "constraint-missing-not-valid"),
    ],
)
def test_what_would_stop_a_live_table_is_seen(statement: str, rule: str) -> None:
    timeouts = ["set local lock_timeout = '4s'", "set local statement_timeout = '600s'"]
    assert any(rule in line for line in lint("planted", [*timeouts, statement]))
    assert lint("planted", [*timeouts, "alter table app.hold add column colour text"]) == []
