"""What the simulated company and its debtors are like. Source: the debtor table of the risk model's simulator section.

Terms, amounts and weekdays follow observed trade ledgers (terms 16-24 days with a tail to 90, log-normal amounts whose
P95 is 3.6 times the median, hardly any payment at a weekend); behaviour towards contacts is assumed, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from duly_ledger_export.records import PartyKind


class DebtorType(StrEnum):
    AUTOPILOT = "autopilot"
    FORGETFUL = "forgetful"
    STRATEGIC = "strategic"
    STRAINED = "strained"
    DISPUTING = "disputing"
    REACTANT = "reactant"
    INSOLVENT = "insolvent"


TYPE_SHARES: tuple[tuple[DebtorType, float], ...] = (
    (DebtorType.AUTOPILOT, 0.50),
    (DebtorType.FORGETFUL, 0.20),
    (DebtorType.STRATEGIC, 0.10),
    (DebtorType.STRAINED, 0.10),
    (DebtorType.DISPUTING, 0.04),
    (DebtorType.REACTANT, 0.03),
    (DebtorType.INSOLVENT, 0.03),
)
KIND_SHARES: tuple[tuple[PartyKind, float], ...] = (
    (PartyKind.BUSINESS, 0.80),
    (PartyKind.SOLE_TRADER, 0.14),
    (PartyKind.CONSUMER, 0.06),
)
ZONE_SHARES: tuple[tuple[str, float], ...] = (("America/New_York", 0.8), ("America/Chicago", 0.2))
SECTOR_SHARES: tuple[tuple[str, float], ...] = (
    ("retail", 0.35),
    ("manufacturing", 0.25),
    ("services", 0.25),
    ("construction", 0.15),
)
# Payment terms in days: the lowest and highest of each class and its share.
TERM_SHARES: tuple[tuple[tuple[int, int], float], ...] = (
    ((16, 24), 0.78),
    ((30, 30), 0.12),
    ((45, 60), 0.07),
    ((90, 90), 0.03),
)
# Days between two invoices to one debtor.
RHYTHM_SHARES: tuple[tuple[int, float], ...] = ((30, 0.55), (14, 0.35), (9, 0.10))

# Amounts are log-normal: sigma of the logarithm between debtors and between one debtor's invoices. Together 0.785,
# that is ln(120 / 33) / 1.645.
AMOUNT_SIGMA_DEBTOR = 0.60
AMOUNT_SIGMA_INVOICE = 0.506

MISLAID_SHARE = 0.08  # of invoices: lie about at the debtor's, whatever its type
MISLAID_DAYS = (10, 50)  # days past due until such an invoice turns up by itself
REVERSED_SHARE = 0.004  # of payments: returned debits
REVERSED_AFTER_DAYS = 4
DISPUTED_SHARE = 0.35  # of a disputing debtor's invoices
CREDITED_SHARE = 0.30  # of resolved disputes: a fifth of the invoice is credited
WRITE_OFF_DPD = 120
INSOLVENT_INVOICED_DAYS = 45  # how long an insolvent debtor still gets invoices


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """One simulated company. History covers [history_from, play_from), the played part play_days from play_from on.

    median_minor: median invoice in minor units of currency. seed: everything drawn depends on it and on nothing else.
    """

    seed: int = 1
    debtors: int = 150
    history_from: date = date(2024, 12, 1)
    play_from: date = date(2026, 3, 1)
    play_days: int = 90
    currency: str = "USD"
    country: str = "US"
    time_zone: str = "America/New_York"
    median_minor: int = 330_000
    tenant: str = "demo"
    source: str = "simulator"

    def __post_init__(self) -> None:
        """Raises ValueError where the numbers make no company."""
        if not 1 <= self.debtors <= 100_000:
            raise ValueError(f"debtors is {self.debtors}, must be 1..100000")
        if self.history_from >= self.play_from or self.play_days < 0:
            raise ValueError("history_from must lie before play_from and play_days must not be negative")
        if self.median_minor < 1:
            raise ValueError("median_minor must be at least 1")

    @property
    def play_until(self) -> date:
        """The last played day."""
        return self.play_from + timedelta(days=self.play_days - 1)
