"""Imports: uploads, mappings, what became of each row, what a snapshot proposes to close."""

import sqlalchemy as sa
from alembic import op

from storage.tenant_rls import enable_tenant_rls

revision = "0004"
down_revision = "0003"

TABLES = ("upload", "upload_part", "import_mapping", "import_run", "import_row", "import_closing")


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "upload",
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("is_utf8", sa.Boolean(), nullable=False),
        sa.Column("parts", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("format in ('csv', 'ndjson', 'xlsx')", name=op.f("ck_upload_format_known")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_upload")),
        schema="app",
    )
    op.create_table(
        "upload_part",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("blob_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "upload_id"],
            ["app.upload.tenant_id", "app.upload.id"],
            name=op.f("fk_upload_part_upload_id_upload"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "upload_id", "place", name=op.f("pk_upload_part")),
        schema="app",
    )
    op.create_table(
        "import_mapping",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind in ('invoices')", name=op.f("ck_import_mapping_kind_known")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_import_mapping")),
        schema="app",
    )
    op.create_index(
        "uq_import_mapping_name",
        "import_mapping",
        ["tenant_id", "name"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("archived_at is null"),
    )
    op.create_table(
        "import_run",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("backfill", sa.Boolean(), nullable=False),
        sa.Column("mapping", sa.Text(), nullable=False),
        sa.Column("mapping_id", sa.Uuid(), nullable=True),
        sa.Column("mapping_version", sa.BigInteger(), nullable=True),
        sa.Column("layout", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_created", sa.BigInteger(), nullable=False),
        sa.Column("rows_updated", sa.BigInteger(), nullable=False),
        sa.Column("rows_unchanged", sa.BigInteger(), nullable=False),
        sa.Column("rows_refused", sa.BigInteger(), nullable=False),
        sa.Column("rows_quarantined", sa.BigInteger(), nullable=False),
        sa.Column("rows_voided", sa.BigInteger(), nullable=False),
        sa.Column("rows_kept", sa.BigInteger(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("caller", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind in ('invoices')", name=op.f("ck_import_run_kind_known")),
        sa.CheckConstraint("mode <> 'snapshot' or creditor_id is not null", name=op.f("ck_import_run_snapshot_of")),
        sa.CheckConstraint("mode in ('delta', 'snapshot')", name=op.f("ck_import_run_mode_known")),
        sa.CheckConstraint(
            "state in ('ready', 'running', 'cancelling', 'done', 'cancelled', 'failed', 'undoing', 'undone')",
            name=op.f("ck_import_run_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_import_run_creditor_id_creditor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "mapping_id"],
            ["app.import_mapping.tenant_id", "app.import_mapping.id"],
            name=op.f("fk_import_run_mapping_id_import_mapping"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "upload_id"],
            ["app.upload.tenant_id", "app.upload.id"],
            name=op.f("fk_import_run_upload_id_upload"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_import_run")),
        schema="app",
    )
    op.create_index("ix_import_run_upload", "import_run", ["tenant_id", "upload_id"], unique=False, schema="app")
    op.create_table(
        "import_row",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("header", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("name_digest", sa.BigInteger(), nullable=True),
        sa.Column("said_digest", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key_version", sa.BigInteger(), nullable=True),
        sa.Column("undo", sa.Text(), nullable=True),
        sa.CheckConstraint("undo in ('voided', 'kept')", name=op.f("ck_import_row_undo_known")),
        sa.CheckConstraint(
            "status in ('created', 'updated', 'unchanged', 'refused', 'quarantined')",
            name=op.f("ck_import_row_status_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "import_id", "line", name=op.f("pk_import_row")),
        schema="app",
    )
    op.create_index(
        "ix_import_row_name", "import_row", ["tenant_id", "import_id", "name_digest"], unique=False, schema="app"
    )
    op.create_index(
        "ix_import_row_status",
        "import_row",
        ["tenant_id", "import_id", "status", "line"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("status in ('refused', 'quarantined', 'updated')"),
    )
    op.create_table(
        "import_closing",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("open_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind in ('invoice', 'credit_note')", name=op.f("ck_import_closing_kind_known")),
        sa.CheckConstraint(
            "state in ('proposed', 'accepted', 'closed', 'rejected', 'stale')",
            name=op.f("ck_import_closing_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "import_id", "object_id", name=op.f("pk_import_closing")),
        schema="app",
    )
    for table in ("upload", "import_mapping", "import_run", "import_row", "import_closing"):
        enable_tenant_rls(table)
    enable_tenant_rls("upload_part", app="select, insert")


def downgrade() -> None:
    """Unmake it."""
    for table in reversed(TABLES):
        op.drop_table(table, schema="app")
