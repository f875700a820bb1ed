"""A tick over many debtors is written slice by slice: how many records of the newest one are still to come."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TICK_SLICES = """
alter table calendar
    add column slices int not null default 1,
    add column records_left int not null default 0;
"""


def upgrade() -> None:
    op.execute(TICK_SLICES)
