"""What the contact gate answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from duly_policy.inputs import Phase


class Answer(StrEnum):
    """Strictest wins: DENY > HUMAN > DEFER > ALLOW."""

    ALLOW = "ALLOW"
    DEFER = "DEFER"
    DENY = "DENY"
    HUMAN = "HUMAN"

    @property
    def strictness(self) -> int:
        return _BY_STRICTNESS.index(self)


_BY_STRICTNESS = (Answer.ALLOW, Answer.DEFER, Answer.HUMAN, Answer.DENY)


def strictest(answers: tuple[Answer, ...]) -> Answer:
    """The strictest of the answers; ALLOW when no rule fired."""
    return max(answers, key=lambda answer: answer.strictness, default=Answer.ALLOW)


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that fires. until: first instant at which this DEFER rule is silent; None: other effects, or never."""

    rule_id: str
    pack_version: str
    effect: Answer
    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The gate's answer with everything needed to explain and to replay it.

    until: only with DEFER. not_before: only with HUMAN, the time the DEFER rules wait for (None = at once).
    pack_versions: (name, version) of packs and of the calendar used, sorted; `load_packs` takes them as name@version.
    """

    answer: Answer
    until: datetime | None
    not_before: datetime | None
    hits: tuple[Hit, ...]
    phase: Phase
    evaluated_at: datetime
    pack_versions: tuple[tuple[str, str], ...]
    evaluator_version: str
    tzdata_version: str
    input_sha256: str
    decision_id: str

    @property
    def rule_ids(self) -> tuple[str, ...]:
        return tuple(hit.rule_id for hit in self.hits)
