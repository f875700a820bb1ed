"""`model-control` decoded, and the version in force on a business date: one reading for workers and commands.

A score of business date d is computed by the newest promotion that is in force on d. A debtor's business date follows
from its own records alone, so restarts, rebalances and replays of the log choose the same versions again, whatever a
partition has reached. A roll-back has no date: it is in force on every date. Why: docs/adr/0013.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from duly.risk.v1 import events_pb2 as risk
from duly_contracts.envelope import Envelope
from duly_contracts.events import decode

MODEL_CONTROL = "model-control"
MODEL_NAME = "risk"
CHAMPION, SHADOW = "CHAMPION", "SHADOW"
AT_ONCE = 0
# Per tenant and role. People promote, a few times a week; older ones only matter to a replay of years ago.
KEPT_MAX = 1_000
_ROLES = {risk.MODEL_ROLE_CHAMPION: CHAMPION, risk.MODEL_ROLE_SHADOW: SHADOW}
_EPOCH = date(1970, 1, 1)
_VERSION, _SHA256 = re.compile("[0-9]{1,18}"), re.compile("[0-9a-f]{64}")


class PromotionUnusable(ValueError):
    """A record that names no version, hash or date to act on."""

    code = "promotion_unusable"


@dataclass(frozen=True, slots=True)
class Promotion:
    """One record of `model-control`, of role CHAMPION or SHADOW.

    version: '' = no model from here on (CHAMPION: the rules score; SHADOW: nobody). effective_day: first business date
    (days since 1970-01-01) it is in force on, AT_ONCE = every date. The hashes are hex sha256, '' only without a model.
    """

    event_id: str
    tenant: str
    role: str
    version: str
    artifact_sha256: str
    schema_sha256: str
    golden_sha256: str
    effective_day: int
    is_rollback: bool
    promoted_at: datetime
    run_id: str = ""
    by: str = ""
    reason: str = ""

    @property
    def has_model(self) -> bool:
        return self.version != ""

    @property
    def effective(self) -> date | None:
        """None: at once, on every date."""
        return None if self.effective_day == AT_ONCE else _EPOCH + timedelta(days=self.effective_day)


def promotion_of(key: bytes, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> Promotion | None:
    """A record as a promotion of the tenant its key begins with; None for a tombstone, another model, role or event.

    Raises EnvelopeInvalid, EventUnknown, EventUndecodable, PromotionUnusable: nobody acts on such a record.
    """
    if value is None:
        return None
    envelope = Envelope.of_record(key, headers)
    message = decode(envelope.type, value)
    if not isinstance(message, risk.RiskModelPromoted | risk.RiskModelRolledBack):
        return None
    if message.model_name != MODEL_NAME or message.role not in _ROLES:
        return None
    is_rollback = isinstance(message, risk.RiskModelRolledBack)
    effective = "" if isinstance(message, risk.RiskModelRolledBack) else message.effective_date
    hashes = (message.artifact_sha256, message.schema_sha256, message.golden_sha256)
    if message.model_version or not is_rollback:
        if not _VERSION.fullmatch(message.model_version):  # it becomes the name of a folder
            raise PromotionUnusable(f"{message.model_version!r} is no version of the registry")
        if not all(map(_SHA256.fullmatch, hashes)):
            raise PromotionUnusable(f"version {message.model_version!r} without the hashes of its files")
    return Promotion(
        event_id=envelope.id,
        tenant=envelope.tenant,
        role=_ROLES[message.role],
        version=message.model_version,
        artifact_sha256=message.artifact_sha256,
        schema_sha256=message.schema_sha256,
        golden_sha256=message.golden_sha256,
        effective_day=_day_of(effective),
        is_rollback=is_rollback,
        promoted_at=envelope.time,
        run_id=message.run_id,
        by=message.by,
        reason=message.reason,
    )


def _day_of(text: str) -> int:
    try:
        return (date.fromisoformat(text) - _EPOCH).days if text else AT_ONCE
    except ValueError as error:
        raise PromotionUnusable(f"effective_date {text!r} is no date") from error


@dataclass(frozen=True, slots=True)
class Roster:
    """All promotions that still matter, by (tenant, role), oldest first. Never changed: `after` makes another one."""

    by_place: Mapping[tuple[str, str], tuple[Promotion, ...]]

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

    def in_force(self, tenant: str, role: str, day: int) -> Iterator[Promotion]:
        """Promotions that may score a business date, the newest first: one that cannot be used leaves the next."""
        for promotion in reversed(self.by_place.get((tenant, role), ())):
            if promotion.effective_day <= day:
                yield promotion

    def before_newest(self, tenant: str, role: str, reached: int) -> Promotion | None:
        """What a roll-back without a version goes back to: what was in force last that is no other record of the newest
        version; None = nothing was. reached: the newest business date that has begun (days since 1970-01-01).

        A promotion whose date had not begun when another took its place never was in force. Raises IndexError for a
        place without records.
        """
        standing = self.by_place.get((tenant, role), ())
        newest, day = standing[-1].version, reached
        for one in reversed(standing):
            if one.version != newest:
                if one.effective_day <= day:
                    return one
            elif not one.is_rollback:  # a roll-back stands behind the record that it goes back to, if there is one
                day = min(day, one.effective_day - 1)
        return None

    def promoted(self, tenant: str, role: str) -> Iterator[Promotion]:
        """The promotions that no roll-back took away, the newest first."""
        return (one for one in reversed(self.by_place.get((tenant, role), ())) if not one.is_rollback)

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
