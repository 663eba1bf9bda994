"""Parties: bank accounts, logos, parents, roles of contacts, merges."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Unmake it."""
