"""Everything a run has left behind that the checks look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from duly_ledger_export import DatedFact

from duly.ledger.v1 import events_pb2 as ledger_pb
from duly.outreach.v1 import events_pb2 as outreach_pb
from duly.risk.v1 import state_pb2
from duly_cli.checks.mails import Mail
from duly_cli.checks.mirror import Mirror
from duly_cli.checks.own_ledger import OwnLedger
from duly_cli.checks.topics import Event


@dataclass(frozen=True)
class Evidence:
    """facts: the input as it was played. until: the last business date. events: every event by topic.

    states: debtor -> state blob, the newest of the changelog. dead_letters: topic -> records.
    leftovers: service -> what it had not finished (unsent outbox rows, due work); all 0 after a clean drain.
    """

    tenant: str
    time_zone: str
    facts: Sequence[DatedFact]
    until: date
    events: Mapping[str, Sequence[Event]]
    states: Mapping[str, bytes]
    mirror: Mirror
    mails: Sequence[Mail]
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    leftovers: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def ledger(self) -> OwnLedger:
        return OwnLedger(self.facts)

    @cached_property
    def by_id(self) -> Mapping[str, Event]:
        """Every event of every topic by its id."""
        return {event.id: event for events in self.events.values() for event in events}

    @cached_property
    def state_messages(self) -> Mapping[str, state_pb2.DebtorState]:
        return {debtor: state_pb2.DebtorState.FromString(blob) for debtor, blob in self.states.items()}

    def named(self, topic: str, name: str) -> list[Event]:
        """Events of that short name, each id once (a relay may send one twice), in log order."""
        found: dict[str, Event] = {}
        for event in self.events.get(topic, ()):
            if event.name == name:
                found.setdefault(event.id, event)
        return list(found.values())

    @cached_property
    def sent(self) -> list[Event]:
        """`contact.sent`, each once."""
        return self.named("contact-events", "contact.sent")

    @cached_property
    def planned(self) -> Mapping[str, Event]:
        """contact id -> `contact.planned`."""
        return {event.message.contact_id: event for event in self.named("outreach-events", "contact.planned")}

    @cached_property
    def decided(self) -> Mapping[str, Event]:
        """treatment id -> `treatment.decided`."""
        return {event.message.treatment_id: event for event in self.named("outreach-events", "treatment.decided")}

    @cached_property
    def ticks(self) -> Sequence[tuple[datetime, date]]:
        """(instant, business date) of every tick, rising."""
        seen = {
            (event.message.instant.ToDatetime(ZoneInfo("UTC")), date.fromisoformat(event.message.business_date))
            for event in self.events.get("ledger-events", ())
            if isinstance(event.message, ledger_pb.CalendarBusinessDateAdvanced)
        }
        return sorted(seen)

    def business_date_at(self, instant: datetime) -> date:
        """The business date that held at an instant of the policy clock."""
        before = [day for moment, day in self.ticks if moment <= instant]
        return before[-1] if before else date.min

    def zones_of(self, debtor_id: str) -> list[ZoneInfo]:
        """The debtor's own zones; the ledger's where the party names none."""
        party = self.ledger.parties.get(debtor_id)
        names = list(party.zones) if party is not None else []
        return [ZoneInfo(name) for name in names or [self.time_zone]]

    def treatment_of(self, contact_id: str) -> outreach_pb.TreatmentDecided | None:
        """The decision behind a contact."""
        planned = self.planned.get(contact_id)
        if planned is None:
            return None
        decided = self.decided.get(planned.message.treatment_id)
        return None if decided is None else decided.message
