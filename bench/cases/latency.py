"""Latency on the whole running stack at a low, steady load: event to score, payment to cancelled treatment.

So that contacts wait when the payments come, the gateway runs without any action that needs no approval: it holds each
reminder for a person. Everything else is the local stack as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta

from duly_cli.stack.services import SERVICE_NAMES
from duly_contracts.events import event_of
from duly_contracts.keys import debtor_key
from duly_ledger_export import DatedFact
from duly_simulator.edge import wait
from duly_simulator.erp import HttpErp

from bench.company import CONTACT_TIME, SOURCE, TODAY, OneInvoiceEach, instant_of
from bench.figures import Result, latencies
from bench.stage import TENANT, Bench, BenchFailed, Stage, stage
from bench.topics import Tail
from duly.outreach.v1 import events_pb2 as outreach
from duly.risk.v1 import events_pb2 as risk

EVENTS_PER_SECOND = 20.0
SENDERS = 4
SCORED = event_of(risk.RiskScoreUpdated()).type
PLANNED = event_of(outreach.ContactPlanned()).type
CANCELLED = event_of(outreach.ContactCancelled()).type
_WITHIN_SECONDS = 60.0
_SETTINGS = {"DULY_GATEWAY_AUTO_ACTIONS": "none", "MLFLOW_TRACKING_URI": ""}


def run(bench: Bench) -> Result:
    """Rules score: a model's own cost is in the `scoring_model` bench."""
    company = OneInvoiceEach(TENANT, debtors=bench.size(600, 100))
    with stage(bench, "latency", ("kafka", "postgres", "mailbox")) as on:
        on.start(*SERVICE_NAMES, env=_SETTINGS)
        erp = on.erp(SOURCE)
        _open_the_day(on, erp, company)
        scores, scores_pace = _scores(on, erp, company)
        cancelled, cancelled_pace = _cancellations(on, erp, company)
        return Result(
            {"event_to_score": latencies(scores), "payment_to_contact_cancelled": latencies(cancelled)},
            {
                "events_per_second_wanted": EVENTS_PER_SECOND,
                "invoices_per_second_sent": round(scores_pace, 2),
                "payments_per_second_sent": round(cancelled_pace, 2),
                "debtors": company.debtors,
                "from": "just before the HTTP request to ledger-sync, one debtor per delivery",
                "to": "the record read from risk-scores, and contact.cancelled read from outreach-events",
                "waiting_contacts": "held by the gateway for approval",
                "model": "rules score",
            },
            on.running(),
        )


def _open_the_day(on: Stage, erp: HttpErp, company: OneInvoiceEach) -> None:
    settle = on.barrier(*SERVICE_NAMES).settle
    refused = erp.send(company.history(), backfill=True)
    if refused:
        raise BenchFailed(f"{len(refused)} facts were refused, the first: {refused[0].event} {refused[0].reason}")
    settle()
    yesterday = TODAY - timedelta(days=1)
    erp.tick(yesterday, instant_of(yesterday, time()), backfill=True)
    settle()
    erp.tick(TODAY, instant_of(TODAY, time()), backfill=False)
    settle()


def _scores(on: Stage, erp: HttpErp, company: OneInvoiceEach) -> tuple[list[float], float]:
    """A new invoice for each debtor -> its score."""
    with Tail(on.kafka, "risk-scores", on.clock) as tail:
        sent = send_steadily(on, erp, {debtor: company.new_invoice(debtor) for debtor in company.ids})
        return _matched(on, sent, lambda: tail.arrived(SCORED), "scores"), _pace(sent)


def _cancellations(on: Stage, erp: HttpErp, company: OneInvoiceEach) -> tuple[list[float], float]:
    """A contact is planned and held for each debtor; its payment -> the contact is cancelled."""
    barrier = on.barrier(*SERVICE_NAMES)
    barrier.settle()
    with Tail(on.kafka, "outreach-events", on.clock) as tail:
        erp.tick(TODAY, instant_of(TODAY, CONTACT_TIME), backfill=False)
        barrier.settle()
        planned = len(tail.arrived(PLANNED))
        if planned != company.debtors:
            raise BenchFailed(f"{planned} contacts were planned for {company.debtors} debtors")
        sent = send_steadily(on, erp, {debtor: company.payment(debtor) for debtor in company.ids})
        return _matched(on, sent, lambda: tail.arrived(CANCELLED), "cancelled contacts"), _pace(sent)


def send_steadily(on: Stage, erp: HttpErp, deliveries: Mapping[str, Sequence[DatedFact]]) -> dict[str, float]:
    """One delivery per debtor at the stated rate, whatever the answers take; debtor -> seconds at which it left."""
    clock = on.clock
    left: dict[str, float] = {}

    def send(debtor: str) -> None:
        left[debtor] = clock.monotonic()
        erp.send(deliveries[debtor], backfill=False)

    began = clock.monotonic()
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="erp") as pool:
        waiting = []
        for number, debtor in enumerate(deliveries):
            wait(max(0.0, began + number / EVENTS_PER_SECOND - clock.monotonic()))
            waiting.append(pool.submit(send, debtor))
        for future in waiting:
            future.result()
    return left


def _matched(
    on: Stage, sent: Mapping[str, float], arrived: Callable[[], Mapping[bytes, float]], what: str
) -> list[float]:
    """Seconds from sending to arrival, one per debtor."""
    keys = {debtor: debtor_key(TENANT, debtor) for debtor in sent}
    on.until(lambda: arrived().keys() >= set(keys.values()), f"{len(sent)} {what}", _WITHIN_SECONDS, 0.1)
    seen = arrived()
    return [seen[keys[debtor]] - at for debtor, at in sent.items()]


def _pace(sent: Mapping[str, float]) -> float:
    """Deliveries per second, as they really left."""
    span = max(sent.values()) - min(sent.values())
    return (len(sent) - 1) / span if span else 0.0
