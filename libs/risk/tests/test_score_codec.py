"""Score bytes written by hand are those of the protobuf library, whatever the score says."""

from duly_risk.curves import CASH_WEEKS
from duly_risk.days import date_of
from duly_risk.model import Role
from duly_risk.score import Band, Behaviour, Direction, InvoiceScore, Reason, ScoreUpdated, Segment, Tier
from duly_risk.score_codec import encode_score
from hypothesis import given
from hypothesis import strategies as st

from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk

texts = st.text(max_size=200)
shares = st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1))
pay_days = st.one_of(st.just(0), st.integers(1, 60_000))
minors = st.one_of(st.just(0), st.integers(0, 2**62))
currencies = st.sampled_from(["EUR", "JPY", "USD"])
falling = st.lists(shares, min_size=5, max_size=5).map(lambda p: sorted(p, reverse=True))
expected = st.one_of(st.just(0.0), st.floats(0, 180))
invoices = st.builds(
    lambda name, p, days, pay: InvoiceScore(name, *p, days, *pay),
    texts,
    falling,
    expected,
    st.tuples(pay_days, pay_days, pay_days),
)
cash = st.lists(minors, min_size=CASH_WEEKS, max_size=CASH_WEEKS).map(tuple)
scores = st.builds(
    ScoreUpdated,
    texts,
    texts,
    st.integers(1, 60_000),
    st.integers(-1, 2**60),
    texts,
    texts,
    st.sampled_from(Role),
    st.sampled_from(Band),
    st.sampled_from(Band),
    shares,
    st.lists(st.tuples(currencies, minors), max_size=3).map(tuple),
    st.lists(invoices, max_size=4).map(tuple),
    st.lists(st.tuples(currencies, cash), max_size=2).map(tuple),
    st.lists(st.builds(Reason, texts, st.sampled_from(Direction), shares, texts), max_size=3).map(tuple),
    st.builds(Segment, st.sampled_from(Band), st.sampled_from(Tier), st.sampled_from(Behaviour)),
)


@given(scores)
def test_the_bytes_are_those_of_the_protobuf_library(score):
    assert encode_score(score) == message(score).SerializeToString(deterministic=True)


def message(score: ScoreUpdated) -> risk.RiskScoreUpdated:
    return risk.RiskScoreUpdated(
        score_id=score.score_id,
        debtor_id=score.debtor_id,
        business_date=iso(score.business_day),
        ledger_version=score.ledger_version,
        model_name=score.model_name,
        model_version=score.model_version,
        role=risk.ModelRole.Value(f"MODEL_ROLE_{score.role}"),
        risk_band=int(score.band),
        previous_band=int(score.previous_band),
        risk=score.risk,
        amount_at_risk=[money(minor, currency) for currency, minor in score.amount_at_risk_minor],
        invoices=[invoice(one) for one in score.invoices],
        expected_cash=[
            risk.ExpectedCash(week_start=iso(score.business_day + 1 + 7 * week), amount=money(weeks[week], currency))
            for week in range(CASH_WEEKS)
            for currency, weeks in score.expected_cash_minor
        ],
        reasons=[
            risk.ScoreReason(
                feature=reason.feature,
                direction=int(reason.direction),
                contribution=reason.contribution,
                text=reason.text,
            )
            for reason in score.reasons
        ],
        segment=risk.Segment(
            risk_band=int(score.segment.band),
            value_tier=int(score.segment.tier),
            behaviour=int(score.segment.behaviour),
        ),
    )


def invoice(score: InvoiceScore) -> risk.InvoiceScore:
    return risk.InvoiceScore(
        invoice_id=score.invoice_id,
        p_unpaid_1=score.p_unpaid_1,
        p_unpaid_5=score.p_unpaid_5,
        p_unpaid_30=score.p_unpaid_30,
        p_unpaid_60=score.p_unpaid_60,
        p_unpaid_90=score.p_unpaid_90,
        expected_days=score.expected_days,
        pay_date_p10=iso(score.pay_day_p10),
        pay_date_p50=iso(score.pay_day_p50),
        pay_date_p90=iso(score.pay_day_p90),
    )


def iso(day: int) -> str:
    return date_of(day).isoformat() if day else ""


def money(minor: int, currency: str) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=minor, currency=currency)
