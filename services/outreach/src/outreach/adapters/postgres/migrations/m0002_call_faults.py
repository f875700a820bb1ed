"""How often the gateway answered a call with a fault: what keeps failing by itself has an end, an outage has none."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table gateway_call add column faults int not null default 0")
