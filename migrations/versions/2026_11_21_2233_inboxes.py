"""Documents that come in by themselves: mailboxes and what they, and the API, have taken in."""

import sqlalchemy as sa
from alembic import op

from storage.tenant_rls import DIRECTORY, definer, enable_tenant_rls

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "inbox",
        sa.Column("creditor_id", sa.Uuid(), nullable=True),
        sa.Column("senders", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        *_object(),
        _of("inbox", "creditor"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_inbox"),
        schema="app",
    )
    op.create_index("ix_inbox_id", "inbox", ["id"], unique=False, schema="app")
    op.create_table(
        "intake",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.Uuid(), nullable=True),
        sa.Column("creditor_id", sa.Uuid(), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("blob_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report_id", sa.Uuid(), nullable=True),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("imported", "updated", "unchanged", "rejected", "quarantined")
        ),
        *_object(),
        sa.CheckConstraint("channel in ('api', 'mail')", name=op.f("ck_intake_channel_known")),
        sa.CheckConstraint("state in ('received', 'read', 'failed')", name=op.f("ck_intake_state_known")),
        _of("intake", "inbox"),
        _of("intake", "creditor"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_intake"),
        schema="app",
    )
    op.create_index(
        "uq_intake_content",
        "intake",
        ["tenant_id", "inbox_id", "content_hash"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("inbox_id is not null"),
    )
    for table in ("inbox", "intake"):
        enable_tenant_rls(table)
    op.execute(f"create policy {DIRECTORY} on app.inbox for select to {DIRECTORY} using (true)")
    op.execute(f"grant select on app.inbox to {DIRECTORY}")
    definer(
        "find_inbox(inbox_id uuid)",
        "select i.tenant_id, i.senders from app.inbox i where i.id = inbox_id and i.closed_at is null limit 1",
        returns="table (tenant_id uuid, senders text)",
    )


def downgrade() -> None:
    """Unmake it."""
    op.execute("drop function app.find_inbox(uuid)")
    op.drop_table("intake", schema="app")
    op.drop_table("inbox", schema="app")


def _object() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
    )


def _of(table: str, parent: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", f"{parent}_id"],
        [f"app.{parent}.tenant_id", f"app.{parent}.id"],
        name=f"fk_{table}_{parent}_id_{parent}",
    )
