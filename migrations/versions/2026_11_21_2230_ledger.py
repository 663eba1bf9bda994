"""The ledger: every change of an amount as a row; write-offs, charges, what an accountant asks of an invoice."""

# ruff: noqa: S608 - built of constants
from datetime import datetime

import sqlalchemy as sa
from alembic import op

from storage.tenant_rls import enable_tenant_rls

revision = "0002"
down_revision = "0001"

# Nobody runs the first tables with many rows yet: their locks are held for milliseconds.
ACCEPTED = {
    "ban-drop-not-null": "an allocation settles an instalment or a charge, and a check holds it to one of them",
    "ban-drop-constraint": "replaced in the same transaction by one that knows write-offs",
    "constraint-missing-not-valid": "the tables have few rows yet",
    "require-concurrent-index-creation": "likewise",
    "require-concurrent-index-deletion": "likewise",
}
KINDS = (
    "invoice_opened", "invoice_corrected", "invoice_voided", "credit_note_recorded", "credit_note_corrected",
    "credit_note_voided", "receipt_recorded", "receipt_reversed", "charge_booked", "charge_waived", "written_off",
    "write_off_reversed",
)  # fmt: skip


def upgrade() -> None:
    """Make it."""
    charges()
    write_offs()
    entries()
    allocations()
    receipts()
    invoices()
    enable_tenant_rls("charge")
    enable_tenant_rls("write_off")
    enable_tenant_rls("ledger_entry", app="select, insert")
    for statement in BACKFILL:
        op.execute(statement)


RULES = "rule in ('oldest_due', 'fr_civil_code')"
AMOUNT = "between {low} and 9007199254740991"


def bounded(table: str, column: str, low: int = 0) -> sa.CheckConstraint:
    """Bound an amount in minor units."""
    return sa.CheckConstraint(f"{column} {AMOUNT.format(low=low)}", name=op.f(f"ck_{table}_{column}_bounds"))


def known(table: str, column: str, *values: str) -> sa.CheckConstraint:
    """Accept only these values."""
    return sa.CheckConstraint(
        f"{column} in ({', '.join(repr(value) for value in values)})", name=op.f(f"ck_{table}_{column}_known")
    )


def belongs(table: str, *parents: str) -> list[sa.ForeignKeyConstraint]:
    """Refer to parents of the same tenant."""
    return [
        sa.ForeignKeyConstraint(
            ["tenant_id", f"{parent}_id"],
            [f"app.{parent}.tenant_id", f"app.{parent}.id"],
            name=op.f(f"fk_{table}_{parent}_id_{parent}"),
        )
        for parent in parents
    ]


def recorded() -> sa.Column[datetime]:
    """When a row was written, in system time."""
    return sa.Column(
        "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
    )


def charges() -> None:
    """The table of charges."""
    op.create_table(
        "charge",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("waived_minor", sa.BigInteger(), nullable=False),
        sa.Column("waive_reason", sa.Text(), nullable=True),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        recorded(),
        known("charge", "kind", "interest", "compensation", "fee", "cost"),
        bounded("charge", "amount_minor", 1),
        bounded("charge", "waived_minor"),
        bounded("charge", "balance_minor"),
        *belongs("charge", "creditor", "debtor", "invoice"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_charge")),
        schema="app",
    )
    op.create_index("ix_charge_debtor", "charge", ["tenant_id", "debtor_id", "id"], schema="app")
    present("ix_charge_invoice", "charge", "invoice_id")
    op.create_index("uq_charge_external_id", "charge", ["tenant_id", "external_id"], unique=True, schema="app")


def present(name: str, table: str, column: str) -> None:
    """An index of the rows that have a value in this column."""
    where = sa.text(f"{column} is not null")
    op.create_index(name, table, ["tenant_id", column], schema="app", postgresql_where=where)


def write_offs() -> None:
    """The table of write-offs."""
    op.create_table(
        "write_off",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("creditor_id", sa.Uuid(), nullable=False),
        sa.Column("debtor_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("instalment_id", sa.Uuid(), nullable=True),
        sa.Column("receipt_id", sa.Uuid(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        recorded(),
        known(
            "write_off", "reason", "bad_debt", "insolvency", "small_difference", "discount", "bank_fee",
            "tax_withheld", "goodwill", "time_barred", "other",
        ),
        known("write_off", "state", "standing", "reversed"),
        bounded("write_off", "amount_minor", 1),
        *belongs("write_off", "creditor", "debtor", "invoice", "instalment", "receipt"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_write_off")),
        schema="app",
    )  # fmt: skip
    op.create_index("ix_write_off_invoice", "write_off", ["tenant_id", "invoice_id"], schema="app")
    op.create_index("ix_write_off_debtor", "write_off", ["tenant_id", "debtor_id", "id"], schema="app")
    present("ix_write_off_receipt", "write_off", "receipt_id")


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
        sa.Column("charge_id", sa.Uuid(), nullable=True),
        sa.Column("write_off_id", sa.Uuid(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        recorded(),
        known("ledger_entry", "kind", *KINDS),
        sa.CheckConstraint("abs(amount_minor) <= 9007199254740991", name=op.f("ck_ledger_entry_amount_bounds")),
        *belongs(
            "ledger_entry", "creditor", "debtor", "invoice", "instalment", "credit_note", "receipt", "charge",
            "write_off",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_ledger_entry")),
        schema="app",
    )  # fmt: skip
    op.create_index("ix_ledger_entry_debtor", "ledger_entry", ["tenant_id", "debtor_id", "id"], schema="app")
    op.create_index("ix_ledger_entry_invoice", "ledger_entry", ["tenant_id", "invoice_id"], schema="app")
    op.execute(
        "create index ix_ledger_entry_changed on app.ledger_entry (tenant_id, invoice_id, instalment_id)"
        " where kind in ('invoice_corrected', 'invoice_voided')"
    )


def allocations() -> None:
    """Allocations come from write-offs too, and settle charges too."""
    op.execute("""
alter table app.allocation
  add column write_off_id uuid,
  add column charge_id uuid,
  add column rule text,
  alter column invoice_id drop not null,
  alter column instalment_id drop not null,
  drop constraint ck_allocation_one_source
""")
    checks = {
        "one_source": "num_nonnulls(receipt_id, credit_note_id, write_off_id) = 1",
        "one_target": "(instalment_id is null) <> (charge_id is null)"
        " and (instalment_id is null) = (invoice_id is null)",
        "rule_known": RULES,
    }
    for name, check in checks.items():
        add("allocation", f"ck_allocation_{name}", f"check ({check})")
    for parent in ("write_off", "charge"):
        refers = f"foreign key (tenant_id, {parent}_id) references app.{parent} (tenant_id, id)"
        add("allocation", f"fk_allocation_{parent}_id_{parent}", refers)
        present(f"ix_allocation_{parent}", "allocation", f"{parent}_id")
    op.execute("drop index app.ix_allocation_instalment")  # ageing sums allocations by instalment: from the index alone
    op.execute(
        "create index ix_allocation_instalment on app.allocation (tenant_id, instalment_id)"
        " include (amount_minor, effective_on, known_at, credit_note_id)"
    )


def add(table: str, name: str, constraint: str) -> None:
    """Add a constraint to a table with rows: new rows are held to it at once, the others are looked at afterwards."""
    op.execute(f"alter table app.{table} add constraint {name} {constraint} not valid")
    op.execute(f"alter table app.{table} validate constraint {name}")


def receipts() -> None:
    """Money goes back in parts, of a kind; a debtor may name what it pays."""
    op.execute("alter table app.receipt add column reversed_minor bigint default 0 not null")
    op.execute("alter table app.receipt add column named_invoice_ids uuid[] default '{}' not null")
    op.execute("alter table app.reversal add column kind text default 'bounce' not null, add column external_id text")
    add("receipt", "ck_receipt_reversed_minor_bounds", f"check (reversed_minor {AMOUNT.format(low=0)})")
    add("reversal", "ck_reversal_kind_known", "check (kind in ('bounce', 'chargeback', 'refund', 'mistake'))")
    op.execute("drop index app.uq_reversal_receipt")
    op.create_index("ix_reversal_receipt", "reversal", ["tenant_id", "receipt_id"], schema="app")
    op.create_index("uq_reversal_external_id", "reversal", ["tenant_id", "external_id"], unique=True, schema="app")
    op.execute("""
update app.receipt r set reversed_minor = b.amount_minor
from app.reversal b where b.tenant_id = r.tenant_id and b.receipt_id = r.id
""")


def invoices() -> None:
    """What an accountant asks of an invoice, and the creditor's rule of allocation."""
    op.execute("""
alter table app.invoice
  add column contract text,
  add column project text,
  add column delivery_note text,
  add column buyer_reference text,
  add column taxes text default '[]' not null,
  add column reporting_currency text,
  add column exchange_rate numeric(24, 12),
  add column exchange_rate_on date
""")
    whole = "num_nonnulls(reporting_currency, exchange_rate, exchange_rate_on) in (0, 3)"
    add("invoice", "ck_invoice_exchange_rate_whole", f"check ({whole})")
    add("invoice", "ck_invoice_exchange_rate_positive", "check (exchange_rate > 0)")
    op.execute("alter table app.instalment add column discount_minor bigint, add column discount_until date")
    discount = f"(discount_minor is null) = (discount_until is null) and discount_minor {AMOUNT.format(low=1)}"
    add("instalment", "ck_instalment_discount", f"check ({discount})")
    op.execute("alter table app.creditor add column allocation_rule text default 'oldest_due' not null")
    add("creditor", "ck_creditor_allocation_rule_known", f"check (allocation_{RULES})")


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
    """Unmake it. What only the newer tables can say (charges, write-offs, partial reversals) is lost."""
    op.drop_table("ledger_entry", schema="app")
    for statement in BACK:
        op.execute(statement)
    op.drop_table("write_off", schema="app")
    op.drop_table("charge", schema="app")


BACK = (
    "drop index app.ix_allocation_instalment",
    "create index ix_allocation_instalment on app.allocation (tenant_id, instalment_id)",
    "alter table app.allocation drop constraint ck_allocation_one_source, drop constraint ck_allocation_one_target",
    "delete from app.allocation where write_off_id is not null or charge_id is not null",
    "alter table app.allocation drop column write_off_id, drop column charge_id, drop column rule",
    """alter table app.allocation alter column invoice_id set not null, alter column instalment_id set not null,
    add constraint ck_allocation_one_source check ((receipt_id is null) <> (credit_note_id is null))""",
    "alter table app.receipt drop column reversed_minor, drop column named_invoice_ids",
    "alter table app.reversal drop column kind, drop column external_id",
    "drop index app.ix_reversal_receipt",
    "create unique index uq_reversal_receipt on app.reversal (tenant_id, receipt_id)",
    """alter table app.invoice drop column contract, drop column project, drop column delivery_note,
    drop column buyer_reference, drop column taxes, drop column reporting_currency, drop column exchange_rate,
    drop column exchange_rate_on""",
    "alter table app.instalment drop column discount_minor, drop column discount_until",
    "alter table app.creditor drop column allocation_rule",
)
