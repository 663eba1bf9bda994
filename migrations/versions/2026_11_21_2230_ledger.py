"""The ledger: every change of an amount as a row; write-offs, charges, what an accountant asks of an invoice."""

# ruff: noqa: S608 - built of constants
import sqlalchemy as sa
from alembic import op

from storage.tenant_rls import enable_tenant_rls

revision = "0002"
down_revision = "0001"

KINDS = (
    "invoice_opened", "invoice_corrected", "invoice_voided", "credit_note_recorded", "credit_note_corrected",
    "credit_note_voided", "receipt_recorded", "receipt_reversed", "charge_booked", "charge_waived", "written_off",
    "write_off_reversed",
)  # fmt: skip


def upgrade() -> None:
    """Make it."""
    entries()
    enable_tenant_rls("ledger_entry", app="select, insert")
    for statement in BACKFILL:
        op.execute(statement)


def entries() -> None:
    """The table of entries."""
    op.create_table(
        "ledger_entry",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("instalment_id", sa.Uuid(), nullable=True),
        sa.Column("credit_note_id", sa.Uuid(), nullable=True),
        sa.Column("receipt_id", sa.Uuid(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            f"kind in ({', '.join(repr(kind) for kind in KINDS)})", name=op.f("ck_ledger_entry_kind_known")
        ),
        sa.CheckConstraint("abs(amount_minor) <= 9007199254740991", name=op.f("ck_ledger_entry_amount_bounds")),
        *(
            sa.ForeignKeyConstraint(
                ["tenant_id", f"{parent}_id"],
                [f"app.{parent}.tenant_id", f"app.{parent}.id"],
                name=op.f(f"fk_ledger_entry_{parent}_id_{parent}"),
            )
            for parent in ("creditor", "debtor", "invoice", "instalment", "credit_note", "receipt")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_ledger_entry")),
        schema="app",
    )
    op.create_index("ix_ledger_entry_debtor", "ledger_entry", ["tenant_id", "debtor_id", "id"], schema="app")
    op.create_index("ix_ledger_entry_invoice", "ledger_entry", ["tenant_id", "invoice_id"], schema="app")


# A version 7 id of the instant at which the fact was known, so that entries list in the order in which they came.
NEW_ID = """cast(lpad(to_hex(cast(extract(epoch from {at}) * 1000 as bigint)), 12, '0') || '7'
  || substr(md5(random()::text), 1, 3) || '8' || substr(md5(gen_random_uuid()::text), 1, 15) as uuid)"""
COLUMNS = "(tenant_id, id, kind, creditor_id, debtor_id, currency, amount_minor, effective_on, known_at, "


# What is known today, entered as of the day on which it was known; earlier amounts of corrected documents are gone.
# When a document was voided, its event says.
BACKFILL = (
    f"""
insert into app.ledger_entry {COLUMNS} invoice_id, instalment_id, due_on)
select v.tenant_id, {NEW_ID.replace("{at}", "v.known_at")}, 'invoice_opened', v.creditor_id, i.debtor_id, v.currency,
       i.amount_minor, v.issued_on, v.known_at, v.id, i.id, i.due_on
from app.instalment i join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
""",
    f"""
insert into app.ledger_entry {COLUMNS} invoice_id, instalment_id, due_on)
select v.tenant_id, {NEW_ID.replace("{at}", "e.at")}, 'invoice_voided', v.creditor_id, i.debtor_id, v.currency,
       -i.amount_minor,
       case when v.void_reason in ('duplicate', 'error') then v.issued_on
            else greatest(v.issued_on, cast(e.at at time zone c.zone as date)) end,
       e.at, v.id, i.id, i.due_on
from app.instalment i join app.invoice v on v.tenant_id = i.tenant_id and v.id = i.invoice_id
join app.creditor c on c.tenant_id = v.tenant_id and c.id = v.creditor_id
cross join lateral (
  select coalesce(max(x.occurred_at), v.known_at) as at from app.event x
  where x.tenant_id = v.tenant_id and x.object_id = v.id and x.type = 'invoice.voided') e
where v.document = 'void' and i.amount_minor <> 0
""",
    f"""
insert into app.ledger_entry {COLUMNS} credit_note_id)
select n.tenant_id, {NEW_ID.replace("{at}", "n.known_at")}, 'credit_note_recorded', n.creditor_id, n.debtor_id,
       n.currency, n.used_minor - n.total_minor, n.issued_on, n.known_at, n.id
from app.credit_note n
""",
    f"""
insert into app.ledger_entry {COLUMNS} credit_note_id)
select n.tenant_id, {NEW_ID.replace("{at}", "e.at")}, 'credit_note_voided', n.creditor_id, n.debtor_id, n.currency,
       n.total_minor - n.used_minor,
       case when n.void_reason in ('duplicate', 'error') then n.issued_on
            else greatest(n.issued_on, cast(e.at at time zone c.zone as date)) end,
       e.at, n.id
from app.credit_note n
join app.creditor c on c.tenant_id = n.tenant_id and c.id = n.creditor_id
cross join lateral (
  select coalesce(max(x.occurred_at), n.known_at) as at from app.event x
  where x.tenant_id = n.tenant_id and x.object_id = n.id and x.type = 'credit_note.voided') e
where n.document = 'void'
""",
    f"""
insert into app.ledger_entry {COLUMNS} receipt_id)
select r.tenant_id, {NEW_ID.replace("{at}", "r.known_at")}, 'receipt_recorded', r.creditor_id, r.debtor_id,
       r.currency, -r.amount_minor, r.effective_on, r.known_at, r.id
from app.receipt r
""",
    f"""
insert into app.ledger_entry {COLUMNS} receipt_id)
select r.tenant_id, {NEW_ID.replace("{at}", "b.known_at")}, 'receipt_reversed', r.creditor_id, r.debtor_id,
       r.currency, b.amount_minor, b.effective_on, b.known_at, r.id
from app.reversal b join app.receipt r on r.tenant_id = b.tenant_id and r.id = b.receipt_id
""",
)


def downgrade() -> None:
    """Unmake it."""
    op.drop_table("ledger_entry", schema="app")
