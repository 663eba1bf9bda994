"""Sources: how fresh each is, where its reading stands, what it contradicts."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Unmake it."""
