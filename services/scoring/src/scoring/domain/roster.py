"""Which model version scores which business date: a pure function of the records of `model-control`.

A score of business date d is computed by the newest promotion that is in force on d. A debtor's business date follows
from its own records alone, so restarts, rebalances and replays of the log choose the same versions again, whatever a
partition has reached. A roll-back has no date: it is in force on every date. Why: docs/adr/0013.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from duly_risk.model import Role

AT_ONCE = 0
# Per tenant and role. People promote, a few times a week; older ones only matter to a replay of years ago.
KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Promotion:
    """One record of `model-control`, of role CHAMPION or SHADOW.

    version: '' = no model from here on (CHAMPION: the rules score; SHADOW: nobody). effective_day: first business date
    (days since 1970-01-01) it is in force on, AT_ONCE = every date. The hashes are hex sha256, '' only without a model.
    """

    event_id: str
    tenant: str
    role: Role
    version: str
    artifact_sha256: str
    schema_sha256: str
    golden_sha256: str
    effective_day: int
    is_rollback: bool
    promoted_at: datetime

    @property
    def has_model(self) -> bool:
        return self.version != ""


@dataclass(frozen=True, slots=True)
class Roster:
    """All promotions that still matter, by (tenant, role), oldest first. Never changed: `after` makes another one."""

    by_place: Mapping[tuple[str, Role], tuple[Promotion, ...]]

    @staticmethod
    def of(promotions: Iterable[Promotion]) -> Roster:
        """The roster after promotions in the order of `model-control`."""
        roster = Roster({})
        for promotion in promotions:
            roster = roster.after(promotion)
        return roster

    def after(self, promotion: Promotion) -> Roster:
        """With one more record."""
        place = (promotion.tenant, promotion.role)
        earlier = self.by_place.get(place, ())
        if promotion.is_rollback:
            earlier = _without_withdrawn(earlier, promotion.version)
        return Roster({**self.by_place, place: (*earlier, promotion)[-KEPT_MAX:]})

    def in_force(self, tenant: str, role: Role, day: int) -> Iterator[Promotion]:
        """Promotions that may score a business date, the newest first: one that cannot be used leaves the next."""
        for promotion in reversed(self.by_place.get((tenant, role), ())):
            if promotion.effective_day <= day:
                yield promotion

    def recent(self, count: int = 2) -> Iterator[Promotion]:
        """The newest promotions of each tenant and role, the older first: what serves and what is to follow it."""
        return (promotion for promotions in self.by_place.values() for promotion in promotions[-count:])


def _without_withdrawn(earlier: tuple[Promotion, ...], version: str) -> tuple[Promotion, ...]:
    """What a roll-back to `version` leaves: nothing that came after it. A version taken away must not score again, not
    even where the one rolled back to cannot be loaded. Back to one never promoted here: the newest version goes."""
    mentions = [index for index, one in enumerate(earlier) if one.version == version]
    if mentions:
        return earlier[: mentions[-1] + 1]
    return tuple(one for one in earlier if one.version != earlier[-1].version)
