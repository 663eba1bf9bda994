"""Imports: uploads, mappings, rows that could not be read, what can be undone."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Unmake it."""
