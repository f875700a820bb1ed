"""Input against mirror and log: nothing lost, nothing doubled, every balance right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from duly_cli.checks.evidence import Evidence
from duly_cli.checks.result import CheckResult, result

TICK = "calendar.business_date_advanced"
_OWN_EVENTS = (TICK, "ledger.drift_detected", "ledger.drift_cleared", "ledger.event_dismissed")


def every_fact_in_the_log(evidence: Evidence) -> CheckResult:
    """Each fact of the input is on `ledger-events` under its own id, and no other fact is."""
    wanted = {fact.event_id: fact for fact in evidence.facts}
    found = {event.id: event for event in evidence.events["ledger-events"] if event.name not in _OWN_EVENTS}
    wrong = [f"{fact.event} of {fact.debtor_id} is missing" for id_, fact in wanted.items() if id_ not in found]
    wrong += [f"{event.name} of {event.debtor_id} was never sent" for id_, event in found.items() if id_ not in wanted]
    wrong += [
        f"{fact.event} of {fact.debtor_id} lies under key {found[id_].record.key!r}"
        for id_, fact in wanted.items()
        if id_ in found and found[id_].debtor_id != fact.debtor_id
    ]
    return result("every fact of the input is in the log once, under its debtor", wrong, facts=len(wanted))


def every_invoice_in_the_mirror(evidence: Evidence) -> CheckResult:
    """Ids, debtors, amounts and due dates are the input's."""
    mirror = evidence.mirror.invoices

    def wrong() -> Iterator[str]:
        for invoice in evidence.ledger.invoices.values():
            held = mirror.get(invoice.invoice_id)
            if held is None:
                yield f"invoice {invoice.invoice_id} is missing"
                continue
            says = (held.debtor_id, held.currency, held.total_minor, held.due_date)
            wanted = (invoice.debtor_id, invoice.currency, invoice.total_minor, invoice.due_date.isoformat())
            if says != wanted:
                yield f"invoice {invoice.invoice_id} is {says} in the mirror, {wanted} in the input"
        yield from (f"invoice {id_} is not in the input" for id_ in mirror.keys() - evidence.ledger.invoices.keys())

    return result("every invoice is in the mirror", wrong(), invoices=len(evidence.ledger.invoices))


def every_payment_in_the_mirror(evidence: Evidence) -> CheckResult:
    """The same for payments and credit notes."""
    mirror, sources = evidence.mirror.sources, evidence.ledger.sources

    def wrong() -> Iterator[str]:
        for source in sources.values():
            held = mirror.get(source.source_id)
            wanted = (source.debtor_id, source.currency, source.minor, source.credit_note)
            if held is None:
                yield f"payment {source.source_id} is missing"
            elif (held.debtor_id, held.currency, held.amount_minor, held.credit_note) != wanted:
                yield f"payment {source.source_id} of the mirror differs from the input's {wanted}"
        yield from (f"payment {id_} is not in the input" for id_ in mirror.keys() - sources.keys())

    notes = sum(source.credit_note for source in sources.values())
    return result(
        "every payment and credit note is in the mirror", wrong(), payments=len(sources) - notes, credit_notes=notes
    )


def balances_agree(evidence: Evidence) -> CheckResult:
    """The open balance of each debtor and currency equals the one computed here from the input."""
    own = dict(evidence.ledger.balances(evidence.until))
    held: dict[tuple[str, str], int] = defaultdict(int)
    for invoice in evidence.mirror.invoices.values():
        held[invoice.debtor_id, invoice.currency] += invoice.open_minor
    wrong = [
        f"{debtor} owes {own.get((debtor, currency), 0)} minor units of {currency}, the mirror says "
        f"{held.get((debtor, currency), 0)}"
        for debtor, currency in sorted(own.keys() | held.keys())
        if own.get((debtor, currency), 0) != held.get((debtor, currency), 0)
    ]
    totals: Counter[str] = Counter()
    for (_, currency), minor in own.items():
        totals[currency] += minor
    figures = {f"open_{currency}": minor for currency, minor in sorted(totals.items())}
    return result("the open balance of every debtor equals the input's", wrong, debtors_owing=len(own), **figures)


def invoices_add_up(evidence: Evidence) -> CheckResult:
    """I1, and I12 for the disputed part."""

    def wrong() -> Iterator[str]:
        for row in evidence.mirror.invoices.values():
            whole = row.allocated_minor + row.written_off_minor + row.open_minor
            if row.voided and row.open_minor:
                yield f"invoice {row.invoice_id} is void and has {row.open_minor} open"
            elif not row.voided and (whole != row.total_minor or row.open_minor < 0):
                yield f"invoice {row.invoice_id}: {whole} allocated, written off and open of {row.total_minor}"
            elif not 0 <= row.disputed_minor <= max(row.open_minor, 0):
                yield f"invoice {row.invoice_id}: {row.disputed_minor} disputed of {row.open_minor} open (I12)"

    return result(
        "I1, I12: allocations, write-offs and open make the total, and no more is disputed than open",
        wrong(),
        invoices=len(evidence.mirror.invoices),
    )


def payments_add_up(evidence: Evidence) -> CheckResult:
    """I2."""

    def wrong() -> Iterator[str]:
        for row in evidence.mirror.sources.values():
            left = row.amount_minor - row.reversed_minor
            if row.allocated_minor + row.unapplied_minor != left or row.unapplied_minor < 0:
                yield f"payment {row.source_id}: {row.allocated_minor} put and {row.unapplied_minor} left of {left}"
            elif (own := evidence.ledger.unapplied_minor(row.source_id, evidence.until)) != row.unapplied_minor:
                yield f"payment {row.source_id}: {row.unapplied_minor} left in the mirror, {own} by the input"

    return result("I2: what is put and what is left make the payment", wrong(), payments=len(evidence.mirror.sources))


def nothing_put_aside(evidence: Evidence) -> CheckResult:
    """No dead letter, nothing in quarantine, no drift that stays (I10, I13), nothing unfinished."""
    wrong = [f"{count} records in {topic}" for topic, count in evidence.dead_letters.items() if count]
    if evidence.mirror.quarantined:
        wrong.append(f"{evidence.mirror.quarantined} events in ledger-sync's quarantine")
    drift: Counter[str] = Counter()
    for event in evidence.events["ledger-events"]:
        drift[event.debtor_id] += {"ledger.drift_detected": 1, "ledger.drift_cleared": -1}.get(event.name, 0)
    wrong += [f"the ledger of {debtor} drifts" for debtor, count in drift.items() if count > 0]
    wrong += [f"{service}: {count} not finished" for service, count in evidence.leftovers.items() if count]
    return result("nothing is dead-lettered, quarantined, drifting or unfinished", wrong)


def equal_ids_equal_bytes(evidence: Evidence) -> CheckResult:
    """A record that was written twice says the same twice; offsets of a partition only rise."""
    seen: dict[str, bytes] = {}
    wrong: list[str] = []
    doubled = 0
    for events in evidence.events.values():
        for event in events:
            first = seen.setdefault(event.id, event.record.value)
            doubled += first is not event.record.value
            if first != event.record.value:
                wrong.append(f"{event.name} {event.id} has two contents in {event.record.topic}")
    return result("equal event ids have equal bytes", wrong, events=len(seen), written_again=doubled)


def ticks_only_rise(evidence: Evidence) -> CheckResult:
    """I8: in each partition business date and instant never go back, and each partition has every tick."""
    per_partition: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for event in evidence.events["ledger-events"]:
        if event.name == TICK:
            instant = event.message.instant.ToNanoseconds()
            per_partition[event.record.partition].append((event.message.business_date, instant))
    wrong = [f"partition {partition} goes back" for partition, ticks in per_partition.items() if ticks != sorted(ticks)]
    sets = {partition: set(ticks) for partition, ticks in per_partition.items()}
    every = set().union(*sets.values()) if sets else set()
    wrong += [
        f"partition {partition} lacks {len(every - ticks)} ticks" for partition, ticks in sets.items() if every - ticks
    ]
    return result("I8: every partition has every tick, and none goes back", wrong, ticks=len(every))
