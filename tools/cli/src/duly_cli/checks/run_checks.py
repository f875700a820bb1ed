"""All checks of a run, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable

from duly_cli.checks import cause_checks, contact_checks, ledger_checks, state_checks
from duly_cli.checks.evidence import Evidence
from duly_cli.checks.result import CheckResult

Check = Callable[[Evidence], CheckResult]

CHECKS: tuple[Check, ...] = (
    ledger_checks.every_fact_in_the_log,
    ledger_checks.every_invoice_in_the_mirror,
    ledger_checks.every_payment_in_the_mirror,
    ledger_checks.balances_agree,
    ledger_checks.invoices_add_up,
    ledger_checks.payments_add_up,
    ledger_checks.ticks_only_rise,
    ledger_checks.nothing_put_aside,
    ledger_checks.equal_ids_equal_bytes,
    state_checks.each_fact_counted_once,
    state_checks.states_hold_open_invoices,
    state_checks.states_reached_the_last_day,
    contact_checks.none_for_paid_or_disputed,
    contact_checks.none_outside_hours,
    contact_checks.none_above_the_cap,
    contact_checks.one_mail_per_contact,
    cause_checks.causes_are_complete,
    cause_checks.every_cancelled_contact_names_its_cause,
)


def run_checks(evidence: Evidence) -> list[CheckResult]:
    """Every check, also after one failed."""
    return [check(evidence) for check in CHECKS]
