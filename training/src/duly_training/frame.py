"""The constants that features are measured against, from what was known before a day."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from duly_risk.book import LATE_DAYS
from duly_risk.facts import InvoiceStated
from duly_risk.model import FeatureFrame
from duly_risk.packing import clipped_days_to_pay, clipped_delay

from duly_training.history import History
from duly_training.snapshots import Outcome


def frame_of(history: History, outcomes: Mapping[tuple[str, str], Outcome]) -> FeatureFrame:
    """Median invoice by currency, and the means towards which a debtor's own are shrunk.

    history, outcomes: both as known before the same day. A ledger without a settled invoice gives no means.
    """
    totals: dict[str, list[int]] = {}
    issued: dict[tuple[str, str], int] = {}
    for debtor_id, events in history.by_debtor.items():
        for event in events:
            if isinstance(event.body, InvoiceStated):
                totals.setdefault(event.body.currency, []).append(event.body.total_minor)
                issued[debtor_id, event.body.invoice_id] = event.body.issue_day
    paid = [(key, outcome, outcome.paid_day) for key, outcome in outcomes.items() if outcome.paid_day is not None]
    delays = [clipped_delay(day, outcome.due_day) for _, outcome, day in paid]
    to_pay = [clipped_days_to_pay(day, issued[key]) for key, _, day in paid]
    n = len(delays)
    return FeatureFrame(
        amount_median_minor={c: max(1.0, float(median(values))) for c, values in sorted(totals.items())},
        late_rate=sum(delay >= LATE_DAYS for delay in delays) / n if n else None,
        any_late_rate=sum(delay > 0 for delay in delays) / n if n else None,
        delay_mean=sum(delays) / n if n else None,
        days_to_pay_mean=sum(to_pay) / n if n else None,
    )
