"""Documents that come in by themselves: mailboxes and folders."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Unmake it."""
