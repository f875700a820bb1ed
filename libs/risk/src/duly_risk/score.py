"""What scoring says of a debtor: `risk.score_updated` as frozen data. `score_codec.encode_score` writes the bytes."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from duly_risk.model import Role


class Band(IntEnum):
    """Rising risk; numbers are those of the contract's RiskBand. NONE = never scored."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Tier(IntEnum):
    """Value tier; numbers are those of the contract's ValueTier. NONE: the model knows no cut points."""

    NONE = 0
    A = 1
    B = 2
    C = 3


class Behaviour(IntEnum):
    """Numbers are those of the contract's Behaviour."""

    NONE = 0
    NEW = 1
    DISTRESSED = 2
    LATE_PAYER = 3
    IRREGULAR = 4
    PROMPT = 5


class Segment(NamedTuple):
    """Debtors that share a strategy. All NONE: none yet."""

    band: Band = Band.NONE
    tier: Tier = Tier.NONE
    behaviour: Behaviour = Behaviour.NONE


class Direction(IntEnum):
    """Numbers are those of the contract's ReasonDirection."""

    RAISES_RISK = 1
    LOWERS_RISK = 2


class Reason(NamedTuple):
    """contribution: 0..1, how strong the reason is next to the others; not a probability."""

    feature: str
    direction: Direction
    contribution: float
    text: str


class InvoiceScore(NamedTuple):
    """p_unpaid_k = P(delay >= k days). expected_days: restricted mean days from t0 to payment, within 180 days.

    pay_day_*: days since 1970-01-01, 0 = beyond the horizon. A tuple: made by the thousand from columns.
    """

    invoice_id: str
    p_unpaid_1: float
    p_unpaid_5: float
    p_unpaid_30: float
    p_unpaid_60: float
    p_unpaid_90: float
    expected_days: float
    pay_day_p10: int
    pay_day_p50: int
    pay_day_p90: int


class ScoreUpdated(NamedTuple):
    """amount_at_risk_minor, expected_cash_minor: by currency, see `outlook.Outlook`; t0 is business_day.

    segment: as last told. segment_before: where the debtor moved from, if this score tells it: an event of its own.
    """

    score_id: str
    debtor_id: str
    business_day: int
    ledger_version: int
    model_name: str
    model_version: str
    role: Role
    band: Band
    previous_band: Band
    risk: float
    amount_at_risk_minor: tuple[tuple[str, int], ...]
    invoices: tuple[InvoiceScore, ...]
    expected_cash_minor: tuple[tuple[str, tuple[int, ...]], ...]
    reasons: tuple[Reason, ...]
    segment: Segment
    segment_before: Segment | None = None
