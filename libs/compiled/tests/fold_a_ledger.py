"""A ledger of some thousand random facts through the fold: says what folded it, and a digest of all that came out."""

from __future__ import annotations

import hashlib
import random

from duly_compiled.use import is_compiled, use_compiled

use_compiled()

from duly_risk.batch import Item, apply_batch
from duly_risk.codec import decode_state, encode_state
from duly_risk.facts import (
    AllocationApplied,
    AllocationRemoved,
    DisputeStated,
    Fact,
    InvoiceStated,
    InvoiceVoided,
    InvoiceWrittenOff,
    PaymentReversed,
    Position,
    RiskEvent,
    SourceReceived,
    Tick,
)
from duly_risk.fallback import RulesModel
from duly_risk.score import ScoreUpdated
from duly_risk.score_codec import encode_score
from duly_risk.state import DebtorState

DEBTORS, EVENTS, FIRST_DAY = 12, 4_000, 20_000


def fact(rng: random.Random, day: int) -> Fact | Tick:
    invoice, source, allocation = (f"{kind}-{rng.randrange(60)}" for kind in "IPA")
    amount, version = rng.randrange(1, 10 ** rng.choice([3, 6, 15])), str(rng.randrange(5))
    currency = rng.choice(["EUR", "USD", "JPY"])
    stated = InvoiceStated(invoice, day, day + rng.randrange(60), amount, currency, version)
    received = SourceReceived(source, rng.random() < 0.2, amount, currency, day)
    applied = AllocationApplied(allocation, invoice, source, received.credit_note, amount, rng.choice([0, 50]), day)
    return rng.choice(
        [
            *(stated, stated, stated, received, received, applied, applied, applied),
            AllocationRemoved(allocation, invoice),
            DisputeStated(invoice, amount // 2, day, rng.random() < 0.5, version),
            InvoiceVoided(invoice, day),
            InvoiceWrittenOff(f"W-{rng.randrange(9)}", invoice, amount, day, rng.random() < 0.5),
            PaymentReversed(f"R-{rng.randrange(9)}", source, amount, day),
            Tick(day),
        ]
    )


def as_it_is(index: int, score: ScoreUpdated) -> ScoreUpdated:
    return score


def main() -> None:
    rng, digest = random.Random(7), hashlib.sha256()
    states: dict[bytes, DebtorState] = {}
    model = RulesModel()
    for offset in range(0, EVENTS, 64):
        items = []
        for at in range(offset, offset + 64):
            day, debtor = FIRST_DAY + at // 8, rng.randrange(DEBTORS)
            event = RiskEvent(f"e-{at}", "some.fact", day, rng.random() < 0.1, fact(rng, day))
            items.append(Item(b"t|%d" % debtor, str(debtor), event, Position(0, at)))
        result = apply_batch(states, items, lambda key, day: model, lambda key, event: f"s-{event.event_id}", as_it_is)
        for key, state in result.states.items():
            blob = encode_state(state)
            states[key] = decode_state(blob)
            digest.update(blob)
        for score in result.told.values():
            digest.update(encode_score(score))
    print("compiled" if is_compiled() else "source", digest.hexdigest())


main()
