"""Decisions per second of the contact gate: pure, one thread, no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from duly_policy import (
    Answer,
    Autonomy,
    Channel,
    DebtorKind,
    DebtView,
    GateInput,
    PastAttempt,
    Phase,
    evaluate,
    load_packs,
)

from bench.company import AMOUNT_MINOR, CONTACT_TIME, CURRENCY, TODAY, ZONE, instant_of
from bench.figures import Result, rates
from bench.stage import TENANT, Bench, BenchFailed

_PACK = "duly-default"


def run(bench: Bench) -> Result:
    """ALLOW is the common case; DEFER is the dear one, as the gate searches for the instant at which it may."""
    rounds, decisions = bench.size(7, 3), bench.size(2000, 500)
    packs = load_packs(_PACK)
    measures = {}
    for name, asked, expected in (
        ("allow", _question(), Answer.ALLOW),
        ("defer_by_cap", _capped(_question()), Answer.DEFER),
    ):
        if evaluate(asked, packs).answer is not expected:
            raise BenchFailed(f"the gate does not answer {expected} to the question of {name}")
        values = []
        for _ in range(rounds):
            before = bench.clock.monotonic()
            for _ in range(decisions):
                evaluate(asked, packs)
            values.append(decisions / (bench.clock.monotonic() - before))
        measures[f"{name}_decisions_per_second"] = rates(values)
    return Result(measures, {"decisions_per_round": decisions, "pack": _PACK})


def _question() -> GateInput:
    now = instant_of(TODAY, CONTACT_TIME)
    debt = DebtView("INV-1", CURRENCY, AMOUNT_MINOR, AMOUNT_MINOR, False, TODAY - timedelta(days=6))
    return GateInput(
        tenant=TENANT,
        contact_id="contact",
        debtor_id="debtor",
        phase=Phase.SEND,
        kind=DebtorKind.BUSINESS,
        country="US",
        zones=(ZONE,),
        debts=(debt,),
        channel=Channel.EMAIL,
        purpose="payment_reminder",
        action="reminder",
        autonomy=Autonomy.AUTO,
        approved=False,
        address_verified=True,
        suppressed=False,
        stopped=False,
        degraded=False,
        drift=False,
        kill_switch=False,
        ledger_fresh=True,
        content_amounts=((CURRENCY, AMOUNT_MINOR),),
        attempts=(),
        promise_open=False,
        care=False,
        not_before=None,
        not_after=None,
        now=now,
    )


def _capped(question: GateInput) -> GateInput:
    earlier = (
        PastAttempt(f"earlier-{days}", question.now - timedelta(days=days), Channel.EMAIL, "accepted")
        for days in (0, 2)
    )
    return replace(question, attempts=tuple(earlier))
