"""Sources: how fresh each is, where its reading stands; when a message was last handed to its channel."""

import sqlalchemy as sa
from alembic import op

from storage.tenant_rls import enable_tenant_rls

revision = "0006"
down_revision = "0005"

ABSENCES = "'voided', 'deleted', 'merged', 'gone', 'unauthorised_scope'"


def upgrade() -> None:
    """Make it."""
    op.add_column("message", sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True), schema="app")
    op.create_table(
        "source",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fresh_for_s", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('active', 'paused')", name=op.f("ck_source_state_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_source_creditor_id_creditor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_source")),
        schema="app",
    )
    op.create_index("uq_source_key", "source", ["tenant_id", "key"], unique=True, schema="app")
    op.create_table(
        "remote_record",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("absence", sa.Text(), nullable=True),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(f"absence in ({ABSENCES})", name=op.f("ck_remote_record_absence_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["app.source.tenant_id", "app.source.id"],
            name=op.f("fk_remote_record_source_id_source"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "source_id", "kind", "remote_id", name=op.f("pk_remote_record")),
        schema="app",
    )
    op.create_index("ix_remote_record_object", "remote_record", ["tenant_id", "object_id"], schema="app")
    op.create_index(
        "ix_remote_record_quarantined",
        "remote_record",
        ["tenant_id", "source_id"],
        schema="app",
        postgresql_where=sa.text("fault is not null"),
    )
    for table in ("source", "remote_record"):
        enable_tenant_rls(table)


def downgrade() -> None:
    """Unmake it."""
    op.drop_table("remote_record", schema="app")
    op.drop_table("source", schema="app")
    op.drop_column("message", "dispatched_at", schema="app")
