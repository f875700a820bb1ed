"""What scoring says of a debtor: `risk.score_updated` as frozen data. `codec.encode_score` writes the bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from duly_risk.model import Role


class Band(IntEnum):
    """Rising risk; numbers are those of the contract's RiskBand. NONE = never scored."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Direction(IntEnum):
    """Numbers are those of the contract's ReasonDirection."""

    RAISES_RISK = 1
    LOWERS_RISK = 2


@dataclass(frozen=True, slots=True)
class Reason:
    """contribution: 0..1, how strong the reason is next to the others; not a probability."""

    feature: str
    direction: Direction
    contribution: float
    text: str


@dataclass(frozen=True, slots=True)
class InvoiceScore:
    """p_unpaid_k = P(delay >= k days). expected_days: restricted mean days from t0 to payment, within 180 days.

    pay_day_*: days since 1970-01-01, 0 = beyond the horizon.
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


@dataclass(frozen=True, slots=True)
class ExpectedCash:
    week_start_day: int
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ScoreUpdated:
    """amount_at_risk_minor: (currency, minor units) of claimable x p_unpaid_30, by currency."""

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
    expected_cash: tuple[ExpectedCash, ...]
    reasons: tuple[Reason, ...]
