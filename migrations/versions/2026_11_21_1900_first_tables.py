"""The first tables, their row-level security, and what each role may do."""

import sqlalchemy as sa
from alembic import op

from storage.tenant_rls import (
    DIRECTORY,
    DISPATCHER,
    PUMP,
    definer,
    enable_tenant_rls,
    open_queue,
    open_to,
    prepare_schema,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make everything."""
    prepare_schema()
    tables()
    secure()


def tables() -> None:
    """The tables and their indexes."""
    op.create_table(
        "access_row",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_access_row")),
        schema="app",
    )
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        schema="app",
    )
    op.create_index("uq_account_slug", "account", ["slug"], unique=True, schema="app")
    op.create_table(
        "api_key",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("api_version", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_on", sa.Date(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_api_key")),
        schema="app",
    )
    op.create_index("ix_api_key_id", "api_key", ["id"], unique=False, schema="app")
    op.create_table(
        "blob",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("key_version", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_blob")),
        schema="app",
    )
    op.create_table(
        "business_clock",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("now_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_business_clock")),
        schema="app",
    )
    op.create_table(
        "captured_mail",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("key_version", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_captured_mail")),
        schema="app",
    )
    op.create_index(
        "ix_captured_mail_message", "captured_mail", ["tenant_id", "message_id"], unique=False, schema="app"
    )
    op.create_table(
        "creditor",
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("reply_to", sa.Text(), nullable=True),
        sa.Column("iban", sa.Text(), nullable=True),
        sa.Column("bic", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_creditor")),
        schema="app",
    )
    op.create_index("uq_creditor_external_id", "creditor", ["tenant_id", "external_id"], unique=True, schema="app")
    op.create_table(
        "data_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("kek_id", sa.Text(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "subject_id", "version", name=op.f("pk_data_key")),
        schema="app",
    )
    op.create_table(
        "debtor",
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_folded", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("merged_into_id", sa.Uuid(), nullable=True),
        sa.Column("insolvent_on", sa.Date(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind in ('company', 'person')", name=op.f("ck_debtor_kind_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "merged_into_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_debtor_merged_into_id_debtor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_debtor")),
        schema="app",
    )
    op.create_index(
        "ix_debtor_merged",
        "debtor",
        ["tenant_id", "merged_into_id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("merged_into_id is not null"),
    )
    op.create_index(
        "ix_debtor_name_folded",
        "debtor",
        ["tenant_id", "name_folded", "id"],
        unique=False,
        schema="app",
        postgresql_ops={"name_folded": "text_pattern_ops"},
    )
    op.create_index("uq_debtor_external_id", "debtor", ["tenant_id", "external_id"], unique=True, schema="app")
    op.create_table(
        "decision",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("instalment_id", sa.Uuid(), nullable=False),
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("blockers", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("policy_version_id", sa.Uuid(), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_decision")),
        schema="app",
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(
        "ix_decision_instalment", "decision", ["tenant_id", "instalment_id", "id"], unique=False, schema="app"
    )
    op.create_table(
        "delivery",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.BigInteger(), nullable=True),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default=sa.text("app.shard_of(app.tenant_id())"), nullable=False),
        sa.CheckConstraint(
            "state in ('pending', 'leased', 'delivered', 'exhausted', 'parked', 'dropped')",
            name=op.f("ck_delivery_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_delivery")),
        schema="app",
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("ix_delivery_endpoint", "delivery", ["tenant_id", "endpoint_id", "id"], unique=False, schema="app")
    op.create_index("ix_delivery_event", "delivery", ["tenant_id", "event_id"], unique=False, schema="app")
    op.create_index(
        "ix_delivery_held",
        "delivery",
        ["lease_until"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state = 'leased'"),
    )
    op.create_index(
        "ix_delivery_pending",
        "delivery",
        ["tenant_id", "endpoint_id", "run_at", "id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "delivery_attempt",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_delivery_attempt")),
        schema="app",
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(
        "ix_delivery_attempt_delivery",
        "delivery_attempt",
        ["tenant_id", "delivery_id", "id"],
        unique=False,
        schema="app",
    )
    op.create_table(
        "due",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("clocked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "object_id", name=op.f("pk_due")),
        schema="app",
    )
    op.create_index("ix_due_clocked", "due", ["tenant_id", "due_at"], unique=False, schema="app")
    op.create_index(
        "ix_due_system", "due", ["due_at"], unique=False, schema="app", postgresql_where=sa.text("not clocked")
    )
    op.create_table(
        "endpoint",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("api_version", sa.Text(), nullable=False),
        sa.Column("include_backfill", sa.Boolean(), nullable=False),
        sa.Column("timeout_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("disabled_code", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_version", sa.BigInteger(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("failing_since_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('enabled', 'disabled', 'removed')", name=op.f("ck_endpoint_state_known")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_endpoint")),
        schema="app",
    )
    op.create_index("ix_endpoint_position", "endpoint", ["tenant_id", "position"], unique=False, schema="app")
    op.create_table(
        "event",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=True),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("placement_id", sa.Uuid(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("backfill", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("key_version", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("log_position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_event")),
        schema="app",
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("ix_event_log", "event", ["tenant_id", "log_position"], unique=False, schema="app")
    op.create_index("ix_event_object", "event", ["tenant_id", "object_id", "sequence"], unique=False, schema="app")
    op.create_index(
        "ix_event_unstamped",
        "event",
        ["tenant_id", "recorded_at"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("log_position is null"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("key_version", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "caller", "key", name=op.f("pk_idempotency")),
        schema="app",
    )
    op.create_index("ix_idempotency_recorded_at", "idempotency", ["recorded_at"], unique=False, schema="app")
    op.create_table(
        "imported_document",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("blob_id", sa.Uuid(), nullable=True),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_imported_document")),
        schema="app",
    )
    op.create_index(
        "ix_imported_document_object", "imported_document", ["tenant_id", "object_id"], unique=False, schema="app"
    )
    op.create_index(
        "uq_imported_document_content",
        "imported_document",
        ["tenant_id", "content_hash", "place"],
        unique=True,
        schema="app",
    )
    op.create_table(
        "job",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default=sa.text("app.shard_of(app.tenant_id())"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_job")),
        schema="app",
    )
    op.create_index(
        "ix_job_held",
        "job",
        ["lease_until"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state in ('leased', 'dispatching')"),
    )
    op.create_index(
        "ix_job_pending",
        "job",
        ["shard", "tenant_id", "run_at", "id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "kill_switch",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "scope", name=op.f("pk_kill_switch")),
        schema="app",
    )
    op.create_table(
        "log_head",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_log_head")),
        schema="app",
    )
    op.create_table(
        "message",
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("contact_day", sa.Date(), nullable=False),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("tone", sa.Text(), nullable=True),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default=sa.text("app.shard_of(app.tenant_id())"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "purpose in ('dunning', 'service', 'payment', 'manual')", name=op.f("ck_message_purpose_known")
        ),
        sa.CheckConstraint(
            "state in ('pending', 'leased', 'dispatching', 'sent', 'failed', 'unknown', 'withdrawn')",
            name=op.f("ck_message_state_known"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_message")),
        schema="app",
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("ix_message_debtor", "message", ["tenant_id", "debtor_id", "id"], unique=False, schema="app")
    op.create_index(
        "ix_message_held",
        "message",
        ["lease_until"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state in ('leased', 'dispatching')"),
    )
    op.create_index(
        "ix_message_pending",
        "message",
        ["shard", "tenant_id", "run_at", "id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_message_state", "message", ["tenant_id", "state", "id"], unique=False, schema="app")
    op.create_table(
        "message_copy",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("key_version", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", "fence", name=op.f("pk_message_copy")),
        schema="app",
    )
    op.create_table(
        "message_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_message_key")),
        schema="app",
    )
    op.create_table(
        "message_part",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("part_id", sa.Uuid(), nullable=False),
        sa.Column("debt_id", sa.Uuid(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "message_id", "part_id", name=op.f("pk_message_part")),
        schema="app",
    )
    op.create_index("ix_message_part_part", "message_part", ["tenant_id", "part_id"], unique=False, schema="app")
    op.create_table(
        "opt_out",
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_opt_out")),
        schema="app",
    )
    op.create_index("uq_opt_out_contact", "opt_out", ["tenant_id", "contact_id", "channel"], unique=True, schema="app")
    op.create_table(
        "platform_switch",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("stopped", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_platform_switch")),
        schema="app",
    )
    op.create_table(
        "policy",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_policy")),
        schema="app",
    )
    op.create_index(
        "uq_policy_default", "policy", ["tenant_id"], unique=True, schema="app", postgresql_where=sa.text("is_default")
    )
    op.create_index("uq_policy_name", "policy", ["tenant_id", "name"], unique=True, schema="app")
    op.create_table(
        "reaction",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default=sa.text("app.shard_of(app.tenant_id())"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_reaction")),
        schema="app",
    )
    op.create_index(
        "ix_reaction_held",
        "reaction",
        ["lease_until"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state in ('leased', 'dispatching')"),
    )
    op.create_index(
        "ix_reaction_order", "reaction", ["tenant_id", "consumer", "object_id", "sequence"], unique=False, schema="app"
    )
    op.create_index(
        "ix_reaction_pending",
        "reaction",
        ["shard", "tenant_id", "run_at", "id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "send_budget",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("hour_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used >= 0 and cap >= 0", name=op.f("ck_send_budget_counts")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_send_budget")),
        schema="app",
    )
    op.create_table(
        "source_link",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "source", "kind", "external_id", name=op.f("pk_source_link")),
        schema="app",
    )
    op.create_index("ix_source_link_object", "source_link", ["tenant_id", "object_id"], unique=False, schema="app")
    op.create_table(
        "source_statement",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("key_version", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "object_id", name=op.f("pk_source_statement")),
        schema="app",
    )
    op.create_table(
        "task",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=True),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('open', 'done', 'dismissed')", name=op.f("ck_task_state_known")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_task")),
        schema="app",
    )
    op.create_index("ix_task_state", "task", ["tenant_id", "state", "id"], unique=False, schema="app")
    op.create_index(
        "uq_task_cause",
        "task",
        ["tenant_id", "kind", "subject_id"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "tenant",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("cell", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind in ('live', 'sandbox')", name=op.f("ck_tenant_kind_known")),
        sa.CheckConstraint("mode in ('off', 'review', 'automatic')", name=op.f("ck_tenant_mode_known")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant")),
        schema="app",
    )
    op.create_table(
        "tenant_slug",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint("kind in ('live', 'sandbox')", name=op.f("ck_tenant_slug_kind_known")),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_tenant_slug")),
        schema="app",
    )
    op.create_index(
        "uq_tenant_slug_live",
        "tenant_slug",
        ["account_id"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("kind = 'live'"),
    )
    op.create_table(
        "tick",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default=sa.text("app.shard_of(app.tenant_id())"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_tick")),
        schema="app",
    )
    op.create_index(
        "ix_tick_held",
        "tick",
        ["lease_until"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state in ('leased', 'dispatching')"),
    )
    op.create_index(
        "ix_tick_pending",
        "tick",
        ["shard", "tenant_id", "run_at", "id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("uq_tick_object", "tick", ["tenant_id", "object_id", "kind"], unique=True, schema="app")
    op.create_table(
        "contact",
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("billing", sa.Boolean(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_contact_debtor_id_debtor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_contact")),
        schema="app",
    )
    op.create_index("ix_contact_debtor", "contact", ["tenant_id", "debtor_id", "id"], unique=False, schema="app")
    op.create_table(
        "credit_note",
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("issue_year", sa.BigInteger(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("used_minor", sa.BigInteger(), nullable=False),
        sa.Column("remaining_minor", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_rank", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "document in ('draft', 'open', 'void', 'written_off')", name=op.f("ck_credit_note_document_known")
        ),
        sa.CheckConstraint(
            "void_reason in ('cancelled', 'duplicate', 'error', 'replaced', 'gone', 'other')",
            name=op.f("ck_credit_note_void_reason_known"),
        ),
        sa.CheckConstraint("used_minor between 0 and 9007199254740991", name=op.f("ck_credit_note_used_minor_bounds")),
        sa.CheckConstraint(
            "remaining_minor between 0 and 9007199254740991", name=op.f("ck_credit_note_remaining_minor_bounds")
        ),
        sa.CheckConstraint(
            "total_minor between 0 and 9007199254740991", name=op.f("ck_credit_note_total_minor_bounds")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_credit_note_creditor_id_creditor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_credit_note_debtor_id_debtor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_credit_note")),
        schema="app",
    )
    op.create_index(
        "ix_credit_note_debtor", "credit_note", ["tenant_id", "debtor_id", "id"], unique=False, schema="app"
    )
    op.create_index(
        "uq_credit_note_external_id", "credit_note", ["tenant_id", "external_id"], unique=True, schema="app"
    )
    op.create_index(
        "uq_credit_note_number",
        "credit_note",
        ["tenant_id", "creditor_id", "number", "issue_year"],
        unique=True,
        schema="app",
    )
    op.create_table(
        "awaited_invoice",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("credit_note_id", sa.Uuid(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_awaited_invoice_creditor_id_creditor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "credit_note_id"],
            ["app.credit_note.tenant_id", "app.credit_note.id"],
            name=op.f("fk_awaited_invoice_credit_note_id_credit_note"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "creditor_id", "number", "credit_note_id", name=op.f("pk_awaited_invoice")
        ),
        schema="app",
    )
    op.create_index(
        "ix_awaited_invoice_credit_note",
        "awaited_invoice",
        ["tenant_id", "credit_note_id"],
        unique=False,
        schema="app",
    )
    op.create_table(
        "creditor_identifier",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_creditor_identifier_creditor_id_creditor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "scheme", "value", name=op.f("pk_creditor_identifier")),
        schema="app",
    )
    op.create_table(
        "debtor_identifier",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_debtor_identifier_debtor_id_debtor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "scheme", "value", name=op.f("pk_debtor_identifier")),
        schema="app",
    )
    op.create_index(
        "ix_debtor_identifier_debtor", "debtor_identifier", ["tenant_id", "debtor_id"], unique=False, schema="app"
    )
    op.create_table(
        "invoice",
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("issue_year", sa.BigInteger(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("due_on_source", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("prepaid_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("purchase_order", sa.Text(), nullable=True),
        sa.Column("payment_terms", sa.Text(), nullable=True),
        sa.Column("direct_debit_on", sa.Date(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_rank", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_invoice_currency_form")),
        sa.CheckConstraint(
            "document in ('draft', 'open', 'void', 'written_off')", name=op.f("ck_invoice_document_known")
        ),
        sa.CheckConstraint(
            "void_reason in ('cancelled', 'duplicate', 'error', 'replaced', 'gone', 'other')",
            name=op.f("ck_invoice_void_reason_known"),
        ),
        sa.CheckConstraint(
            "due_on_source in ('document', 'terms', 'default', 'none')", name=op.f("ck_invoice_due_on_source_known")
        ),
        sa.CheckConstraint(
            "balance_minor between 0 and 9007199254740991", name=op.f("ck_invoice_balance_minor_bounds")
        ),
        sa.CheckConstraint(
            "prepaid_minor between 0 and 9007199254740991", name=op.f("ck_invoice_prepaid_minor_bounds")
        ),
        sa.CheckConstraint("total_minor between 0 and 9007199254740991", name=op.f("ck_invoice_total_minor_bounds")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_invoice_creditor_id_creditor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_invoice_debtor_id_debtor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_invoice")),
        schema="app",
    )
    op.create_index("ix_invoice_debtor", "invoice", ["tenant_id", "debtor_id", "id"], unique=False, schema="app")
    op.create_index("ix_invoice_issued", "invoice", ["tenant_id", "issued_on", "id"], unique=False, schema="app")
    op.create_index("uq_invoice_external_id", "invoice", ["tenant_id", "external_id"], unique=True, schema="app")
    op.create_index(
        "uq_invoice_number", "invoice", ["tenant_id", "creditor_id", "number", "issue_year"], unique=True, schema="app"
    )
    op.create_table(
        "policy_version",
        sa.Column("policy_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('draft', 'published', 'archived')", name=op.f("ck_policy_version_state_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "policy_id"],
            ["app.policy.tenant_id", "app.policy.id"],
            name=op.f("fk_policy_version_policy_id_policy"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_policy_version")),
        schema="app",
    )
    op.create_index(
        "uq_policy_version_number", "policy_version", ["tenant_id", "policy_id", "number"], unique=True, schema="app"
    )
    op.create_index(
        "uq_policy_version_published",
        "policy_version",
        ["tenant_id", "policy_id"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("state = 'published'"),
    )
    op.create_table(
        "receipt",
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("unapplied_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('provisional', 'final', 'reversed')", name=op.f("ck_receipt_state_known")),
        sa.CheckConstraint("amount_minor between 1 and 9007199254740991", name=op.f("ck_receipt_amount_minor_bounds")),
        sa.CheckConstraint(
            "unapplied_minor between 0 and 9007199254740991", name=op.f("ck_receipt_unapplied_minor_bounds")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_receipt_creditor_id_creditor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_receipt_debtor_id_debtor"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_receipt")),
        schema="app",
    )
    op.create_index("ix_receipt_debtor", "receipt", ["tenant_id", "debtor_id", "id"], unique=False, schema="app")
    op.create_index("uq_receipt_external_id", "receipt", ["tenant_id", "external_id"], unique=True, schema="app")
    op.create_table(
        "handling",
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("kind in ('internal', 'outsourced')", name=op.f("ck_handling_kind_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "creditor_id"],
            ["app.creditor.tenant_id", "app.creditor.id"],
            name=op.f("fk_handling_creditor_id_creditor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_handling_debtor_id_debtor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["app.invoice.tenant_id", "app.invoice.id"],
            name=op.f("fk_handling_invoice_id_invoice"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_handling")),
        schema="app",
    )
    op.create_index(
        "uq_handling_invoice",
        "handling",
        ["tenant_id", "invoice_id"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("invoice_id is not null"),
    )
    op.create_index(
        "uq_handling_pair",
        "handling",
        ["tenant_id", "creditor_id", "debtor_id"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("invoice_id is null"),
    )
    op.create_table(
        "instalment",
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "amount_minor between 0 and 9007199254740991", name=op.f("ck_instalment_amount_minor_bounds")
        ),
        sa.CheckConstraint(
            "balance_minor between 0 and 9007199254740991", name=op.f("ck_instalment_balance_minor_bounds")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_instalment_debtor_id_debtor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["app.invoice.tenant_id", "app.invoice.id"],
            name=op.f("fk_instalment_invoice_id_invoice"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_instalment")),
        schema="app",
    )
    op.create_index(
        "ix_instalment_open",
        "instalment",
        ["tenant_id", "debtor_id"],
        unique=False,
        schema="app",
        postgresql_where=sa.text("balance_minor > 0"),
    )
    op.create_index(
        "uq_instalment_place", "instalment", ["tenant_id", "invoice_id", "place"], unique=True, schema="app"
    )
    op.create_table(
        "reversal",
        sa.Column("receipt_id", sa.Uuid(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("amount_minor between 1 and 9007199254740991", name=op.f("ck_reversal_amount_minor_bounds")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "receipt_id"],
            ["app.receipt.tenant_id", "app.receipt.id"],
            name=op.f("fk_reversal_receipt_id_receipt"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_reversal")),
        schema="app",
    )
    op.create_index("uq_reversal_receipt", "reversal", ["tenant_id", "receipt_id"], unique=True, schema="app")
    op.create_table(
        "allocation",
        sa.Column("receipt_id", sa.Uuid(), nullable=True),
        sa.Column("credit_note_id", sa.Uuid(), nullable=True),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("instalment_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("undoes_id", sa.Uuid(), nullable=True),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("(receipt_id is null) <> (credit_note_id is null)", name=op.f("ck_allocation_one_source")),
        sa.CheckConstraint(
            "(undoes_id is null) = (amount_minor > 0) and amount_minor <> 0", name=op.f("ck_allocation_sign")
        ),
        sa.CheckConstraint("abs(amount_minor) <= 9007199254740991", name=op.f("ck_allocation_amount_bounds")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "credit_note_id"],
            ["app.credit_note.tenant_id", "app.credit_note.id"],
            name=op.f("fk_allocation_credit_note_id_credit_note"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "instalment_id"],
            ["app.instalment.tenant_id", "app.instalment.id"],
            name=op.f("fk_allocation_instalment_id_instalment"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["app.invoice.tenant_id", "app.invoice.id"],
            name=op.f("fk_allocation_invoice_id_invoice"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "receipt_id"],
            ["app.receipt.tenant_id", "app.receipt.id"],
            name=op.f("fk_allocation_receipt_id_receipt"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "undoes_id"],
            ["app.allocation.tenant_id", "app.allocation.id"],
            name=op.f("fk_allocation_undoes_id_allocation"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_allocation")),
        schema="app",
    )
    op.create_index(
        "ix_allocation_credit_note", "allocation", ["tenant_id", "credit_note_id"], unique=False, schema="app"
    )
    op.create_index(
        "ix_allocation_instalment", "allocation", ["tenant_id", "instalment_id"], unique=False, schema="app"
    )
    op.create_index("ix_allocation_invoice", "allocation", ["tenant_id", "invoice_id"], unique=False, schema="app")
    op.create_index("ix_allocation_receipt", "allocation", ["tenant_id", "receipt_id"], unique=False, schema="app")
    op.create_index("uq_allocation_undoes", "allocation", ["tenant_id", "undoes_id"], unique=True, schema="app")
    op.create_table(
        "course",
        sa.Column("instalment_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("policy_version_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("from_step", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('active', 'review', 'ended')", name=op.f("ck_course_state_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"],
            ["app.debtor.tenant_id", "app.debtor.id"],
            name=op.f("fk_course_debtor_id_debtor"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "instalment_id"],
            ["app.instalment.tenant_id", "app.instalment.id"],
            name=op.f("fk_course_instalment_id_instalment"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["app.invoice.tenant_id", "app.invoice.id"],
            name=op.f("fk_course_invoice_id_invoice"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "policy_version_id"],
            ["app.policy_version.tenant_id", "app.policy_version.id"],
            name=op.f("fk_course_policy_version_id_policy_version"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_course")),
        schema="app",
    )
    op.create_index("ix_course_debtor", "course", ["tenant_id", "debtor_id"], unique=False, schema="app")
    op.create_index("uq_course_instalment", "course", ["tenant_id", "instalment_id"], unique=True, schema="app")
    op.create_table(
        "hold",
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("instalment_id", sa.Uuid(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_end", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("on_end in ('resume', 'task')", name=op.f("ck_hold_on_end_known")),
        sa.CheckConstraint(
            "reason in ('manual', 'dispute', 'promise', 'plan', 'payment_in_process', 'insolvency', 'no_contact',"
            " 'data_error')",
            name=op.f("ck_hold_reason_known"),
        ),
        sa.CheckConstraint(
            "source in ('user', 'dispute', 'promise', 'plan', 'payment', 'import')", name=op.f("ck_hold_source_known")
        ),
        sa.CheckConstraint(
            "amount_minor is null or (amount_minor > 0 and invoice_id is not null)", name=op.f("ck_hold_amount")
        ),
        sa.CheckConstraint("ends_at is null or ends_at >= starts_at", name=op.f("ck_hold_span")),
        sa.CheckConstraint("instalment_id is null or invoice_id is not null", name=op.f("ck_hold_target")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "debtor_id"], ["app.debtor.tenant_id", "app.debtor.id"], name=op.f("fk_hold_debtor_id_debtor")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "instalment_id"],
            ["app.instalment.tenant_id", "app.instalment.id"],
            name=op.f("fk_hold_instalment_id_instalment"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "invoice_id"],
            ["app.invoice.tenant_id", "app.invoice.id"],
            name=op.f("fk_hold_invoice_id_invoice"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_hold")),
        schema="app",
    )
    op.create_index("ix_hold_debtor", "hold", ["tenant_id", "debtor_id", "id"], unique=False, schema="app")
    op.create_index("uq_hold_source", "hold", ["tenant_id", "source", "source_id"], unique=True, schema="app")
    op.create_table(
        "notice",
        sa.Column("course_id", sa.Uuid(), nullable=False),
        sa.Column("instalment_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("state in ('planned', 'issued', 'withdrawn')", name=op.f("ck_notice_state_known")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "course_id"],
            ["app.course.tenant_id", "app.course.id"],
            name=op.f("fk_notice_course_id_course"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "instalment_id"],
            ["app.instalment.tenant_id", "app.instalment.id"],
            name=op.f("fk_notice_instalment_id_instalment"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notice")),
        schema="app",
    )
    op.create_index("ix_notice_debtor", "notice", ["tenant_id", "debtor_id", "id"], unique=False, schema="app")
    op.create_index("ix_notice_message", "notice", ["tenant_id", "message_id"], unique=False, schema="app")
    op.create_index(
        "uq_notice_once",
        "notice",
        ["tenant_id", "instalment_id", "cycle", "step", "occurrence"],
        unique=True,
        schema="app",
        postgresql_where=sa.text("state <> 'withdrawn'"),
    )


# What the application may do with a table where it is not "select, insert, update".
APPEND_ONLY = ("allocation", "reversal", "decision", "blob", "message_copy", "captured_mail", "access_row", "event")
REMOVABLE = (
    "awaited_invoice", "due", "tick", "reaction", "message_key", "creditor_identifier", "debtor_identifier",
)  # fmt: skip
READ_ONLY = ("delivery_attempt", "log_head")
CHANGEABLE = (
    "api_key", "business_clock", "contact", "course", "credit_note", "creditor", "debtor", "delivery", "endpoint",
    "handling", "hold", "idempotency", "imported_document", "instalment", "invoice", "job", "kill_switch", "message",
    "message_part", "notice", "opt_out", "policy", "policy_version", "receipt", "send_budget", "source_link",
    "source_statement", "task", "tenant",
)  # fmt: skip


def secure() -> None:
    """Row-level security on every tenant table, and what each role may do."""
    for table in APPEND_ONLY:
        enable_tenant_rls(table, app="select, insert")
    for table in REMOVABLE:
        enable_tenant_rls(table, app="select, insert, update, delete")
    for table in READ_ONLY:
        enable_tenant_rls(table, app="select")
    for table in CHANGEABLE:
        enable_tenant_rls(table)
    enable_tenant_rls("data_key", app="select, insert, delete")  # a key is made and destroyed, never changed

    for table in ("message", "job"):
        open_queue(table)
    open_queue("reaction", extra=("consumer", "object_id", "sequence"))
    open_queue("tick", extra=("kind", "object_id"))
    op.execute(f"grant insert (tenant_id, object_id, kind, state, shard) on app.tick to {DISPATCHER}")
    due = ("tenant_id", "kind", "object_id", "due_at", "clocked")
    open_to(DISPATCHER, "due", select=due, update=("clocked",), also="delete")  # update: to lock what it promotes
    open_to(DISPATCHER, "event", select=("tenant_id", "id", "recorded_at", "log_position"), update=("log_position",))
    open_to(DISPATCHER, "log_head", select=("tenant_id", "position"), update=("position",), also="insert")

    for table in ("event", "data_key", "log_head"):
        open_to(PUMP, table, also="select")
    open_to(PUMP, "endpoint", update=("position", "failing_since_at"), also="select")
    open_to(PUMP, "delivery", also="select, insert, update")
    open_to(PUMP, "delivery_attempt", also="select, insert")

    op.execute(f"create policy {DIRECTORY} on app.api_key for select to {DIRECTORY} using (true)")
    op.execute(f"grant select on app.api_key to {DIRECTORY}")
    op.execute(f"grant select, insert on app.account, app.tenant_slug to {DIRECTORY}")
    op.execute(f"grant select, update on app.platform_switch to {DIRECTORY}")
    op.execute("insert into app.platform_switch (scope) values ('platform'), ('channel:email')")
    definers()


def definers() -> None:
    """The narrow functions that look across tenants."""
    definer(
        "find_api_key(key_id uuid)",
        "select k.tenant_id, k.hash, k.scopes, k.api_version, k.expires_at, k.revoked_at, k.last_used_on"
        " from app.api_key k where k.id = key_id limit 1",
        returns="table (tenant_id uuid, hash bytea, scopes text, api_version text, expires_at timestamptz,"
        " revoked_at timestamptz, last_used_on date)",
    )
    definer(
        "find_tenant(wanted text)",
        "select s.tenant_id, s.account_id, s.kind from app.tenant_slug s where s.slug = wanted",
        returns="table (tenant_id uuid, account_id uuid, kind text)",
    )
    definer(
        "create_account(account_id uuid, account_slug text, account_name text)",
        "insert into app.account (id, slug, name) values (account_id, account_slug, account_name)"
        " on conflict do nothing returning id",
        returns="uuid",
        volatile=True,
    )
    definer(
        "register_tenant(account_slug text, new_tenant uuid, new_slug text, new_kind text)",
        "insert into app.tenant_slug (slug, tenant_id, account_id, kind)"
        " select new_slug, new_tenant, a.id, new_kind from app.account a where a.slug = account_slug"
        " on conflict do nothing returning account_id",
        returns="uuid",
        volatile=True,
    )
    definer(
        "find_account(account_slug text)",
        "select a.id from app.account a where a.slug = account_slug",
        returns="uuid",
    )
    # Locked for share, so that a switch thrown now waits for, or is seen by, what is about to leave.
    definer(
        "stopped_platform_scopes(scopes text[])",
        # Materialized, or the planner would look for thrown switches alone and lock none of the others.
        "with asked as materialized (select p.scope, p.stopped from app.platform_switch p"
        " where p.scope = any(scopes) order by p.scope for share) select a.scope from asked a where a.stopped",
        returns="setof text",
        volatile=True,
    )


def downgrade() -> None:
    """Unmake everything: the schema goes, with all that is in it but the version table's."""
    op.execute("""
do $$
declare item record;
begin
  for item in select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = 'app' and c.relkind in ('r', 'p') and not c.relispartition
                and c.relname <> 'alembic_version' loop
    execute format('drop table app.%I cascade', item.relname);
  end loop;
  for item in select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
              where n.nspname = 'app' loop
    execute 'drop function ' || item.name || ' cascade';
  end loop;
end $$
""")
