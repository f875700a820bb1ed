"""The golden cases of the contact gate that concern the product rules; hours are duly-default's (C 08-20, B 08-18).

The number is the row of the golden table. Answer, until and rule ids are all asserted.
"""

import pytest
from duly_policy import Answer, evaluate

OPEN_0 = [
    {
        "invoice_id": "INV-1",
        "currency": "USD",
        "open_minor": 0,
        "claimable_minor": 0,
        "disputed": False,
        "due_date": "2025-12-01",
    }
]
UNKNOWN_ATTEMPT = [{"contact_id": "c0", "at": "2026-03-07T18:00:00Z", "channel": "VOICE", "outcome": "unknown"}]
WEEK_FULL = [
    {"contact_id": "c0", "at": "2026-03-02T17:00:00Z", "channel": "SMS", "outcome": "sent"},
    {"contact_id": "c9", "at": "2026-03-04T17:00:00Z", "channel": "SMS", "outcome": "sent"},
]
LONDON = {"country": "GB", "zones": ["Europe/London"]}
INDIA = {"country": "IN", "zones": ["Asia/Kolkata"]}

ROWS = [
    ("1 one second before the day opens", {"now": "2026-01-15T12:59:59Z"}, "DEFER 2026-01-15T13:00Z", ["DULY-QUIET"]),
    ("1b eight o'clock", {"now": "2026-01-15T13:00:00Z"}, "ALLOW", []),
    ("2 one second after the day closed", {"now": "2026-01-16T01:00:01Z"}, "DEFER 2026-01-16T13:00Z", ["DULY-QUIET"]),
    ("3 299 seconds before closing", {"now": "2026-01-16T00:55:01Z"}, "DEFER 2026-01-16T13:00Z", ["DULY-GUARD"]),
    ("3b 300 seconds before closing", {"now": "2026-01-16T00:55:00Z"}, "ALLOW", []),
    ("4 the Monday after clocks went forward, 08:30 EDT", {"now": "2026-03-09T12:30:00Z"}, "ALLOW", []),
    ("5 20:30 EDT, not 19:30", {"now": "2026-03-10T00:30:00Z"}, "DEFER 2026-03-10T12:00Z", ["DULY-QUIET"]),
    (
        "6 the Monday after clocks went back, 07:30 EST, not 08:30",
        {"now": "2026-11-02T12:30:00Z"},
        "DEFER 2026-11-02T13:00Z",
        ["DULY-QUIET"],
    ),
    (
        "7 two coasts",
        {"now": "2026-01-15T14:00:00Z", "zones": ["America/New_York", "America/Los_Angeles"]},
        "DEFER 2026-01-15T16:00Z",
        ["DULY-QUIET"],
    ),
    (
        "8 place unknown: Honolulu opens last",
        {"now": "2026-07-14T17:59:00Z", "zones": []},
        "DEFER 2026-07-14T18:00Z",
        ["DULY-QUIET"],
    ),
    (
        "9 Denver and Phoenix",
        {"now": "2026-07-15T14:30:00Z", "zones": ["America/Denver", "America/Phoenix"]},
        "DEFER 2026-07-15T15:00Z",
        ["DULY-QUIET"],
    ),
    (
        "13 an unknown outcome counts",
        {"now": "2026-03-07T19:00:00Z", "attempts": UNKNOWN_ATTEMPT},
        "DEFER 2026-03-09T12:00Z",
        ["DULY-CAP"],
    ),
    ("16 stop", {"stopped": True, "channel": "SMS"}, "DENY", ["DULY-STOP"]),
    (
        "22 the week is full",
        {"now": "2026-03-06T17:00:00Z", "attempts": WEEK_FULL},
        "DEFER 2026-03-09T12:00Z",
        ["DULY-CAP"],
    ),
    (
        "25 a business at 07:30",
        {"kind": "BUSINESS", "now": "2026-01-15T12:30:00Z"},
        "DEFER 2026-01-15T13:00Z",
        ["DULY-QUIET"],
    ),
    ("26 an unknown kind at 19:30", {"kind": "UNKNOWN", "now": "2026-01-16T00:30:00Z"}, "ALLOW", []),
    ("27 London, the last Saturday of summer time, 08:30 BST", {**LONDON, "now": "2026-10-24T07:30:00Z"}, "ALLOW", []),
    (
        "28 London, Monday after, 07:30 GMT",
        {**LONDON, "now": "2026-10-26T07:30:00Z"},
        "DEFER 2026-10-26T08:00Z",
        ["DULY-QUIET"],
    ),
    ("35 paid after the plan", {"debts": OPEN_0, "content_amounts": [["USD", 10000]]}, "DENY", ["DULY-PAID"]),
    ("36 watermark too old", {"ledger_fresh": False}, "DEFER 2026-01-15T15:05Z", ["DULY-STALE"]),
    (
        "37 hardship at night",
        {"care": True, "now": "2026-01-16T03:00:00Z"},
        "HUMAN 2026-01-16T13:00Z",
        ["DULY-CARE", "DULY-QUIET"],
    ),
    (
        "38 as 37, and stopped",
        {"care": True, "stopped": True, "now": "2026-01-16T03:00:00Z"},
        "DENY",
        ["DULY-CARE", "DULY-QUIET", "DULY-STOP"],
    ),
    ("39 no valid approval", {"autonomy": "APPROVE", "approved": False}, "HUMAN", ["DULY-AUTONOMY"]),
    ("40 Kolkata at 07:59", {**INDIA, "now": "2026-05-04T02:29:00Z"}, "DEFER 2026-05-04T02:30Z", ["DULY-QUIET"]),
    (
        "- German Unity Day",
        {"country": "DE", "zones": ["Europe/Berlin"], "now": "2025-10-03T10:00:00Z"},
        "DEFER 2025-10-04T06:00Z",
        ["DULY-QUIET"],
    ),
    (
        "- Easter Monday",
        {"country": "DE", "zones": ["Europe/Berlin"], "now": "2026-04-06T10:00:00Z"},
        "DEFER 2026-04-07T06:00Z",
        ["DULY-QUIET"],
    ),
]


@pytest.mark.parametrize(("changes", "expected", "rule_ids"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_golden_case(changes, expected, rule_ids, ask, packs, at):
    answer, _, instant = expected.partition(" ")
    decision = evaluate(ask(**changes), packs)

    assert (decision.answer, list(decision.rule_ids)) == (Answer(answer), rule_ids)
    assert (decision.until or decision.not_before) == (at(instant) if instant else None)


def test_a_decision_carries_what_a_replay_needs(ask, packs):
    decision = evaluate(ask(care=True, now="2026-01-16T03:00:00Z"), packs)

    assert decision.pack_versions == (("calendar/US", "2026.11.1"), ("duly-default", "2026.11.1"))
    assert decision.evaluator_version == "1"
    assert decision.tzdata_version
    assert decision.evaluated_at.isoformat() == "2026-01-16T03:00:00+00:00"
    assert [hit.reason for hit in decision.hits] == [
        "hardship, vulnerability, bereavement, insolvency or a minor: a person decides: care",
        "outside contact hours: Thu 22:00 in America/New_York",
    ]
