"""Events that were put aside are remembered until they come again and can be used."""

from __future__ import annotations

from alembic import op
from duly_runtime.schema import WAITING_EVENTS_SCHEMA

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(WAITING_EVENTS_SCHEMA)
