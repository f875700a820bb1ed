"""`duly quarantine`: what a person reads of the facts that are not in the mirror."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from duly_cli.errors import CommandFailed
from duly_cli.folders import StateFolder
from duly_cli.main import EXIT_FAULT, run
from duly_cli.ports import Ports
from duly_cli.quarantine import lines, quarantined
from duly_cli.stack.local import LocalStack
from duly_runtime.auth import TokenVerifier
from duly_testing.clock import FakeClock

NEWEST = {
    "state": "rejected", "delivery_id": "run-7", "event_id": "e-2", "event_type": "duly.invoice.issued.v1",
    "debtor_id": "D-1", "code": "version_reused", "text": "version 4 came before",
    "received_at": "2031-03-02T10:00:00Z",
}  # fmt: skip
WAITING = NEWEST | {
    "state": "held",
    "event_id": "e-1",
    "code": "invoice_unknown",
    "received_at": "2031-03-01T10:00:00+00:00",
}


@pytest.fixture
def stack(tmp_path):
    state = StateFolder(tmp_path)
    state.make()
    stack = LocalStack(state, state.new_run(datetime(2031, 3, 2, tzinfo=UTC)), Ports(28000))
    stack.credentials.make(datetime.now(UTC), "demo")
    yield stack
    stack.stop()


def test_the_edge_is_asked_for_the_tenant_with_a_token_it_takes(stack):
    asked = []

    def edge(request):
        asked.append(request)
        return httpx.Response(200, json={"events": [NEWEST]})

    clock = FakeClock(datetime.now(UTC))
    assert quarantined(stack, "acme", 7, clock, httpx.MockTransport(edge)) == [NEWEST]
    principal = TokenVerifier.from_file(str(stack.credentials.jwks_file), "duly", "duly").verify(
        asked[0].headers["authorization"]
    )
    principal.require("acme", "ledger:write")
    assert str(asked[0].url) == "http://127.0.0.1:28010/v1/quarantine?limit=7"


def test_an_edge_that_does_not_answer_is_one_sentence(stack):
    down = httpx.MockTransport(lambda request: httpx.Response(503))
    with pytest.raises(
        CommandFailed, match=r"ledger-sync at http://127.0.0.1:28010 does not tell its quarantine: .*503"
    ):
        quarantined(stack, "demo", 7, FakeClock(datetime.now(UTC)), down)


def test_the_newest_stand_last_with_what_to_do_and_how_many():
    shown = lines([NEWEST, WAITING], 50)
    assert [line.split()[:5] for line in shown[1:3]] == [
        ["2031-03-01", "10:00:00", "held", "D-1", "e-1"],
        ["2031-03-02", "10:00:00", "rejected", "D-1", "e-2"],
    ]
    assert "send it anew, corrected" in shown[4]
    assert shown[-1] == "1 held, 1 rejected."
    assert lines([WAITING], 1)[-1] == "1 held; the newest 1 are shown, there may be more."
    assert lines([], 50) == ["Nothing is in quarantine."]


def test_without_a_stack_it_says_so(tmp_path, capsys):
    assert run(["quarantine", "--state", str(tmp_path)]) == EXIT_FAULT
    assert "Nothing runs" in capsys.readouterr().err
