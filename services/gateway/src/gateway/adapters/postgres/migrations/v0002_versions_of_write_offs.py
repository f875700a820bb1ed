"""Write-offs and reversals keep the version of their fact, so that a newer one replaces them."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """'' has no order: whatever comes next replaces a row that was written before this."""
    for table in ("write_off", "reversal"):
        op.execute(f"alter table {table} add column source_version text not null default ''")
