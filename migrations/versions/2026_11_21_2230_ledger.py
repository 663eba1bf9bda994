"""The ledger: every change of an amount as a row of its own, write-offs, charges, what an accountant asks of an invoice."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Unmake it."""
