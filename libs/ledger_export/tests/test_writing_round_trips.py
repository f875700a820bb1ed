"""What is written reads back as the same facts, and the same records give the same bytes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from duly_contracts.money import Money
from duly_ledger_export import Ledger, LedgerSettings, read_ledger, write_ledger
from duly_ledger_export import records as rec
from duly_ledger_export.records import LedgerRecords
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = LedgerSettings(currency="EUR", country="DE", time_zone="Europe/Berlin", source="books")
START = date(2026, 1, 1)
DAYS = st.integers(0, 400).map(lambda n: START + timedelta(days=n))
MAYBE_DAYS = st.none() | DAYS
RECORDED = (
    st.none()
    | DAYS
    | st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)).map(
        lambda instant: instant.replace(microsecond=0)
    )
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), max_size=8)
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


@st.composite
def ledgers(draw: st.DrawFn) -> LedgerRecords:
    """Records whose references resolve; amounts need not make sense."""
    records = LedgerRecords()
    for n in range(draw(st.integers(0, 5))):
        debtor_id, currency = f"D{n % 2}", draw(CURRENCIES)

        def money(least: int = 1, currency: str = currency) -> Money:
            return Money(draw(st.integers(least, 10**12)), currency)

        total = money(0)
        records.invoices.append(
            rec.Invoice(
                f"I{n}",
                debtor_id,
                draw(DAYS),
                draw(DAYS),
                total,
                number=draw(TEXTS),
                instalments=(rec.Instalment(1, draw(DAYS), total),)
                if total.amount_minor and draw(st.booleans())
                else (),
                recorded_at=draw(RECORDED),
                voided_on=draw(MAYBE_DAYS),
            )
        )
        records.payments.append(
            rec.Payment(f"P{n}", debtor_id, draw(DAYS), money(), method=draw(TEXTS), reversed_on=draw(MAYBE_DAYS))
        )
        records.credit_notes.append(rec.CreditNote(f"C{n}", debtor_id, draw(DAYS), money(), recorded_at=draw(RECORDED)))
        source = draw(
            st.sampled_from([(rec.AllocationSource.PAYMENT, f"P{n}"), (rec.AllocationSource.CREDIT_NOTE, f"C{n}")])
        )
        records.allocations.append(
            rec.Allocation(f"A{n}", *source, f"I{n}", money(), draw(DAYS), discount=draw(st.none() | st.just(money(0))))
        )
        opened = draw(DAYS)
        records.disputes.append(rec.Dispute(f"I{n}", opened, opened + timedelta(days=draw(st.integers(0, 9)))))
        records.write_offs.append(rec.WriteOff(f"W{n}", f"I{n}", money(), draw(DAYS), rec.WriteOffReason.FEE))
    if draw(st.booleans()):
        records.parties.append(rec.Party("D0", rec.PartyKind.CONSUMER, name=draw(TEXTS), email="d0@debtors.example"))
    return records


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@settings(deadline=None, max_examples=60)
@given(ledgers(), st.randoms(use_true_random=False))
def test_written_records_read_back_as_the_same_facts_in_any_row_order(records: LedgerRecords, random: object) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_ledger(folder, SETTINGS, records)
        first = files_of(folder)
        if not (folder / "invoices.csv").exists():
            return
        again = read_ledger(folder)
        assert list(again.facts()) == list(Ledger(SETTINGS, records).facts())
        for rows in (records.invoices, records.payments, records.allocations):
            random.shuffle(rows)  # type: ignore[attr-defined]
        write_ledger(folder, SETTINGS, records)
        assert files_of(folder) == first


@settings(deadline=None, max_examples=60)
@given(ledgers(), DAYS)
def test_what_was_known_before_a_day_never_shows_what_came_later(records: LedgerRecords, day: date) -> None:
    whole = list(Ledger(SETTINGS, records).facts(known_until=day))
    invoices = {invoice.invoice_id for invoice in records.known_before(day, ZoneInfo("Europe/Berlin")).invoices}
    assert invoices == {fact.order[2] for fact in whole if fact.event == "invoice.issued"}


@settings(deadline=None, max_examples=60)
@given(ledgers())
def test_facts_stand_in_known_order_and_every_id_once(records: LedgerRecords) -> None:
    facts = list(Ledger(SETTINGS, records).facts())
    keys = [(fact.known_on, fact.order) for fact in facts]
    assert keys == sorted(keys)
    assert len({fact.event_id for fact in facts}) == len(facts)


def test_an_empty_table_leaves_no_file_of_an_earlier_export_behind(tmp_path: Path) -> None:
    paid = LedgerRecords(payments=[rec.Payment("P1", "D1", START, Money(5, "EUR"))])
    write_ledger(tmp_path, SETTINGS, paid)
    assert sorted(files_of(tmp_path)) == ["ledger.yaml", "payments.csv"]
    write_ledger(tmp_path, SETTINGS, LedgerRecords())
    assert sorted(files_of(tmp_path)) == ["ledger.yaml"]
