"""Parties: bank accounts, logos, parents, roles of contacts, merges."""

from alembic import op

from storage.tenant_rls import enable_tenant_rls

revision = "0003"
down_revision = "0002"

TABLES = (
    "bank_account", "debtor_address", "debtor_label", "debtor_key", "debtor_match", "matching_rule", "conflict",
)  # fmt: skip
REMOVABLE = ("debtor_address", "debtor_label", "debtor_key")  # facts of a debtor that change by the whole
COLUMNS = {
    "creditor": ("payment_terms text", "eom_reading text", "logo_id uuid"),
    "debtor": (
        "parent_id uuid", "phone text", "payment_terms text", "archived_at timestamp with time zone",
        "erased_at timestamp with time zone", "group_version bigint not null default 0",
    ),
    "contact": (
        "roles text not null default ''", "phone text", "position bigint not null default 0",
        "is_primary boolean not null default false",
    ),
}  # fmt: skip
# The first release has no rows that an index would keep waiting; later ones are built concurrently.
SOON_DONE = "-- squawk-ignore require-concurrent-index-creation\n"


def upgrade() -> None:
    """Make it."""
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"alter table app.{table} add column {column}")
    op.execute(
        "-- squawk-ignore constraint-missing-not-valid, adding-foreign-key-constraint\n"
        "alter table app.debtor add constraint fk_debtor_parent_id_debtor foreign key (tenant_id, parent_id)"
        " references app.debtor (tenant_id, id)"
    )
    for name, on in (
        ("ix_debtor_parent", "debtor (tenant_id, parent_id) where parent_id is not null"),
        ("ix_invoice_number_prefix", "invoice (tenant_id, number text_pattern_ops, id)"),
        ("ix_credit_note_number_prefix", "credit_note (tenant_id, number text_pattern_ops, id)"),
    ):
        op.execute(f"{SOON_DONE}create index {name} on app.{on}")
    op.execute(
        f"{SOON_DONE}create unique index uq_contact_primary on app.contact (tenant_id, debtor_id)"
        " where is_primary and archived_at is null"
    )
    tables()
    for table in TABLES:
        enable_tenant_rls(
            table, app="select, insert, update, delete" if table in REMOVABLE else "select, insert, update"
        )
    op.execute("grant delete on app.source_link to relance_app")  # what was erased is not found again by its old names
    op.execute("update app.contact set roles = 'billing' where billing")
    op.execute(
        "insert into app.bank_account (tenant_id, id, version, creditor_id, iban, bic, currency, is_default)"
        " select tenant_id, id, 1, id, iban, bic, currency, true from app.creditor where iban is not null"
    )


def downgrade() -> None:
    """Unmake it."""
    op.execute("revoke delete on app.source_link from relance_app")
    for table in reversed(TABLES):
        op.execute(f"drop table app.{table}")
    for index in ("ix_invoice_number_prefix", "ix_credit_note_number_prefix"):
        op.execute(f"drop index app.{index}")
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"alter table app.{table} drop column {column.split()[0]}")


def tables() -> None:
    """The new tables and their indexes."""
    op.execute("""
create table app.bank_account (
  creditor_id uuid not null,
  iban text not null,
  bic text,
  currency text not null,
  label text,
  is_default boolean not null,
  archived_at timestamp with time zone,
  tenant_id uuid not null,
  id uuid not null,
  version bigint not null,
  recorded_at timestamp with time zone default clock_timestamp() not null,
  constraint pk_bank_account primary key (tenant_id, id),
  constraint fk_bank_account_creditor_id_creditor foreign key(tenant_id, creditor_id)
    references app.creditor (tenant_id, id)
)
""")
    op.execute(
        "create unique index uq_bank_account_default on app.bank_account (tenant_id, creditor_id, currency)"
        " where is_default and archived_at is null"
    )
    op.execute(
        "create unique index uq_bank_account_iban on app.bank_account (tenant_id, creditor_id, iban, currency)"
        " where archived_at is null"
    )
    op.execute("""
create table app.debtor_address (
  tenant_id uuid not null,
  debtor_id uuid not null,
  kind text not null,
  street text,
  postcode text,
  city text,
  country text,
  constraint pk_debtor_address primary key (tenant_id, debtor_id, kind),
  constraint fk_debtor_address_debtor_id_debtor foreign key(tenant_id, debtor_id) references app.debtor (tenant_id, id),
  constraint ck_debtor_address_kind_known check (kind in ('billing', 'registered', 'delivery', 'other'))
)
""")
    op.execute("""
create table app.debtor_label (
  tenant_id uuid not null,
  debtor_id uuid not null,
  key text not null,
  value text not null,
  constraint pk_debtor_label primary key (tenant_id, debtor_id, key),
  constraint fk_debtor_label_debtor_id_debtor foreign key(tenant_id, debtor_id) references app.debtor (tenant_id, id)
)
""")
    op.execute("create index ix_debtor_label_value on app.debtor_label (tenant_id, key, value, debtor_id)")
    op.execute("""
create table app.debtor_key (
  tenant_id uuid not null,
  key text not null,
  debtor_id uuid not null,
  constraint pk_debtor_key primary key (tenant_id, key, debtor_id),
  constraint fk_debtor_key_debtor_id_debtor foreign key(tenant_id, debtor_id) references app.debtor (tenant_id, id)
)
""")
    op.execute("create index ix_debtor_key_debtor on app.debtor_key (tenant_id, debtor_id)")
    op.execute("""
create table app.debtor_match (
  debtor_id uuid not null,
  candidate_id uuid not null,
  score bigint not null,
  reasons text not null,
  state text not null,
  decided_at timestamp with time zone,
  known_at timestamp with time zone not null,
  tenant_id uuid not null,
  id uuid not null,
  version bigint not null,
  recorded_at timestamp with time zone default clock_timestamp() not null,
  constraint pk_debtor_match primary key (tenant_id, id),
  constraint fk_debtor_match_debtor_id_debtor foreign key(tenant_id, debtor_id) references app.debtor (tenant_id, id),
  constraint fk_debtor_match_candidate_id_debtor foreign key(tenant_id, candidate_id)
    references app.debtor (tenant_id, id),
  constraint ck_debtor_match_state_known check (state in ('open', 'accepted', 'rejected', 'withdrawn'))
)
""")
    op.execute("create index ix_debtor_match_candidate on app.debtor_match (tenant_id, candidate_id)")
    op.execute("create index ix_debtor_match_state on app.debtor_match (tenant_id, state, id)")
    op.execute("create unique index uq_debtor_match_pair on app.debtor_match (tenant_id, debtor_id, candidate_id)")
    op.execute("""
create table app.matching_rule (
  tenant_id uuid not null,
  version bigint not null,
  link_score bigint not null,
  suggest_score bigint not null,
  constraint pk_matching_rule primary key (tenant_id)
)
""")
    op.execute("""
create table app.conflict (
  state text not null,
  reason text not null,
  kind text not null,
  creditor_id uuid not null,
  number text not null,
  source text not null,
  document_id uuid not null,
  place text not null,
  object_id uuid,
  debtor_id uuid,
  task_kind text not null,
  task_subject_id uuid not null,
  resolution text,
  resolved_at timestamp with time zone,
  key_version bigint not null,
  sealed bytea not null,
  known_at timestamp with time zone not null,
  tenant_id uuid not null,
  id uuid not null,
  version bigint not null,
  recorded_at timestamp with time zone default clock_timestamp() not null,
  constraint pk_conflict primary key (tenant_id, id),
  constraint fk_conflict_creditor_id_creditor foreign key(tenant_id, creditor_id)
    references app.creditor (tenant_id, id),
  constraint ck_conflict_state_known check (state in ('open', 'resolved'))
)
""")
    op.execute("create index ix_conflict_object on app.conflict (tenant_id, object_id) where object_id is not null")
    op.execute("create index ix_conflict_state on app.conflict (tenant_id, state, id)")
    op.execute("create unique index uq_conflict_document on app.conflict (tenant_id, document_id) where state = 'open'")
