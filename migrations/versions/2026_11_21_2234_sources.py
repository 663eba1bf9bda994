"""Sources: how fresh each is, where its reading stands; when a message was last handed to its channel."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make it."""
    op.add_column("message", sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True), schema="app")


def downgrade() -> None:
    """Unmake it."""
    op.drop_column("message", "dispatched_at", schema="app")
