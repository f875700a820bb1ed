"""The debtors and the invoices that will be written to them: drawn once, before the first day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

from duly_contracts.money import Money
from duly_ledger_export.records import Invoice, Party

from duly_simulator import parameters as par
from duly_simulator.chance import normal, pick, uniform, whole
from duly_simulator.parameters import DebtorType, SimulationSettings


@dataclass(frozen=True, slots=True)
class Debtor:
    """A debtor and the traits nobody but the simulator sees.

    centre_days: days past due at which it pays by itself. run_weekday: its payment run (0 Monday). payday: day of month
    with money on the account. insolvent_on: from then on it hardly pays; None for all other types.
    """

    party: Party
    type: DebtorType
    joins_on: date
    rhythm_days: int
    term_days: int
    median_minor: int
    centre_days: int
    run_weekday: int
    payday: int
    insolvent_on: date | None = None

    @property
    def id(self) -> str:
        return self.party.debtor_id


def draw_debtors(settings: SimulationSettings) -> list[Debtor]:
    """All debtors by id. Types are dealt out by their shares and shuffled, so that a small ledger has them all."""
    types = _deal_types(settings)
    return [_debtor(settings, number, types[number]) for number in range(settings.debtors)]


def draw_invoices(settings: SimulationSettings, debtors: list[Debtor]) -> list[Invoice]:
    """Every invoice that will be issued up to the last played day, numbered in order of issue."""
    planned = [(day, debtor) for debtor in debtors for day in _issue_days(settings, debtor)]
    planned.sort(key=lambda plan: (plan[0], plan[1].id))
    return [_invoice(settings, f"INV-{n:06d}", debtor, day) for n, (day, debtor) in enumerate(planned, start=1)]


def next_business_day(day: date) -> date:
    """The day itself or, at a weekend, the Monday after it. Public holidays are not modelled."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() >= 5 else 0)


def _deal_types(settings: SimulationSettings) -> list[DebtorType]:
    bounds, total = [], 0.0
    for kind, share in par.TYPE_SHARES:
        total += share
        bounds.append((kind, total))
    dealt = [
        next((kind for kind, bound in bounds if (n + 0.5) / settings.debtors < bound), DebtorType.AUTOPILOT)
        for n in range(settings.debtors)
    ]
    order = sorted(range(settings.debtors), key=lambda n: uniform(settings.seed, "deal", str(n)))
    return [dealt[n] for n in order]


def _debtor(settings: SimulationSettings, number: int, kind: DebtorType) -> Debtor:
    seed, debtor_id = settings.seed, f"D{number + 1:04d}"
    history_days = (settings.play_from - settings.history_from).days
    # A fifth of the debtors became customers during the first two thirds of the history.
    joined = uniform(seed, "joined", debtor_id)
    late = int((joined - 0.8) / 0.2 * history_days * 2 / 3) if joined > 0.8 else whole(0, 30, seed, "first", debtor_id)
    joins_on = settings.history_from + timedelta(days=late)
    low, high = pick(par.TERM_SHARES, seed, "terms", debtor_id)
    median = settings.median_minor * math.exp(par.AMOUNT_SIGMA_DEBTOR * normal(seed, "amounts", debtor_id))
    return Debtor(
        party=_party(settings, debtor_id, joins_on),
        type=kind,
        joins_on=joins_on,
        rhythm_days=pick(par.RHYTHM_SHARES, seed, "rhythm", debtor_id),
        term_days=whole(low, high, seed, "term", debtor_id),
        median_minor=max(1, round(median)),
        centre_days=_centre_days(kind, seed, debtor_id),
        run_weekday=whole(0, 4, seed, "run", debtor_id),
        payday=pick(((1, 0.4), (15, 0.3), (25, 0.3)), seed, "payday", debtor_id),
        insolvent_on=_insolvent_on(settings, debtor_id, joins_on) if kind is DebtorType.INSOLVENT else None,
    )


def _party(settings: SimulationSettings, debtor_id: str, since: date) -> Party:
    seed = settings.seed
    kind = pick(par.KIND_SHARES, seed, "kind", debtor_id)
    return Party(
        debtor_id=debtor_id,
        kind=kind,
        name=f"Debtor {debtor_id[1:]}",
        country=settings.country,
        time_zone=pick(par.ZONE_SHARES, seed, "zone", debtor_id),
        language="en",
        sector=pick(par.SECTOR_SHARES, seed, "sector", debtor_id),
        since=since,
        email=f"{debtor_id.lower()}@debtors.example",
    )


def _centre_days(kind: DebtorType, seed: int, debtor_id: str) -> int:
    match kind:
        case DebtorType.STRATEGIC:
            return whole(22, 38, seed, "centre", debtor_id)
        case DebtorType.REACTANT:
            return whole(8, 12, seed, "centre", debtor_id)
        case _:
            return whole(4, 20, seed, "centre", debtor_id)


def _insolvent_on(settings: SimulationSettings, debtor_id: str, joins_on: date) -> date:
    """Between half a year after joining and the last played day, so that history and play both see some."""
    span = (settings.play_until - joins_on).days
    return joins_on + timedelta(days=whole(min(180, span), max(span, 180), settings.seed, "insolvent", debtor_id))


def _issue_days(settings: SimulationSettings, debtor: Debtor) -> list[date]:
    last = settings.play_until
    if debtor.insolvent_on:
        last = min(last, debtor.insolvent_on + timedelta(days=par.INSOLVENT_INVOICED_DAYS))
    days: list[date] = []
    day = debtor.joins_on
    while True:
        issue = next_business_day(day)
        if issue > last:
            return days
        # Two invoices of one debtor on one day would be one invoice.
        if not days or issue > days[-1]:
            days.append(issue)
        wobble = whole(-2, 2, settings.seed, "wobble", debtor.id, day.isoformat())
        day += timedelta(days=debtor.rhythm_days + wobble)


def _invoice(settings: SimulationSettings, invoice_id: str, debtor: Debtor, issued: date) -> Invoice:
    # The draw is about (debtor, day), not the number: one debtor more must not change the others' amounts.
    factor = math.exp(par.AMOUNT_SIGMA_INVOICE * normal(settings.seed, "amount", debtor.id, issued.isoformat()))
    return Invoice(
        invoice_id=invoice_id,
        debtor_id=debtor.id,
        issue_date=issued,
        due_date=issued + timedelta(days=debtor.term_days),
        total=Money(max(1, round(debtor.median_minor * factor)), settings.currency),
        number=invoice_id,
    )
