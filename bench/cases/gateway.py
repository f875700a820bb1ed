"""Contacts per second through the gateway: RequestContact over gRPC to `contact.sent` in `contact-events`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from bench.company import CONTACT_TIME, TODAY, OneInvoiceEach, instant_of, ledger_records, overdue_invoice, tick_records
from bench.figures import Measure, Result, rates
from bench.stage import TENANT, Bench, BenchFailed, Stage, stage
from bench.topics import Ends, write
from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as pb
from duly.gateway.v1.contact_service_pb2_grpc import ContactServiceStub

CALLERS = 8
_CALL_SECONDS = 20.0
_WITHIN_SECONDS = 120.0
_SERVICE = "gateway"
_TOPIC = "contact-events"
_CHANNELS = (("smtp", types.CHANNEL_EMAIL), ("noop", types.CHANNEL_NOOP))


def run(bench: Bench) -> Result:
    """Rounds of one contact per debtor, for e-mail and for the channel that sends nothing; the first round warms up."""
    rounds, contacts = bench.size(5, 2), bench.size(200, 60)
    company = OneInvoiceEach(TENANT, debtors=(rounds + 1) * contacts * len(_CHANNELS))
    with stage(bench, "gateway", ("kafka", "postgres", "mailbox")) as on:
        write(on.kafka, ledger_records(company.history(), [TENANT], backfill=True))
        write(on.kafka, tick_records(TENANT, instant_of(TODAY, CONTACT_TIME), backfill=False))
        on.start(_SERVICE, env={"DULY_GATEWAY_CHANNELS": "EMAIL,NOOP"})
        on.barrier(_SERVICE).settle()
        measures: dict[str, Measure] = {}
        debtors = iter(company.ids)
        with grpc.insecure_channel(on.stack.address(_SERVICE, "grpc")) as channel:
            caller = Caller(ContactServiceStub(channel), on.token("contacts:write"))
            for name, number in _CHANNELS:
                portions = [[next(debtors) for _ in range(contacts)] for _ in range(rounds + 1)]
                measures |= _measure(on, caller, name, number, portions)
        return Result(
            measures,
            {"contacts_per_round": contacts, "callers": CALLERS, "invoices_per_contact": 1},
            on.running(),
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of the gateway; safe for several threads."""

    stub: ContactServiceStub
    token: str

    def ask(self, debtor: str, channel: types.Channel.ValueType) -> pb.RequestContactResponse:
        """One reminder for one debtor. Raises BenchFailed unless the gate allows it."""
        request = pb.RequestContactRequest(
            tenant_id=TENANT,
            idempotency_key=f"bench:{debtor}",
            treatment_id=f"treatment-{debtor}",
            case_id=f"case-{debtor}",
            debtor_id=debtor,
            invoice_ids=[overdue_invoice(debtor)],
            step_no=1,
            channel=channel,
            purpose="payment_reminder",
            action="reminder",
            template_id="reminder-friendly",
        )
        metadata = (("authorization", f"Bearer {self.token}"),)
        answer: pb.RequestContactResponse = self.stub.RequestContact(request, timeout=_CALL_SECONDS, metadata=metadata)
        if answer.decision.answer != types.GATE_ANSWER_ALLOW:
            raise BenchFailed(f"the gate does not allow the contact: {answer.decision.hits}")
        return answer


def _measure(
    on: Stage, caller: Caller, name: str, channel: types.Channel.ValueType, portions: Sequence[Sequence[str]]
) -> dict[str, Measure]:
    ends = Ends(on.kafka, _TOPIC)
    requested, sent, cpu = [], [], []
    for number, debtors in enumerate(portions):
        goal = ends.total() + len(debtors)
        before, cpu_before = on.clock.monotonic(), on.cpu_seconds(_SERVICE)
        with ThreadPoolExecutor(CALLERS, thread_name_prefix="caller") as pool:
            list(pool.map(lambda debtor: caller.ask(debtor, channel), debtors))
        asked = on.clock.monotonic()
        on.until(lambda goal=goal: ends.total() >= goal, f"{goal} records in {_TOPIC}", _WITHIN_SECONDS)  # type: ignore[misc]
        if number:
            requested.append(len(debtors) / (asked - before))
            sent.append(len(debtors) / (on.clock.monotonic() - before))
            cpu.append((on.cpu_seconds(_SERVICE) - cpu_before) / len(debtors) * 1e6)
    ends.close()
    return {
        f"{name}_contacts_per_second": rates(sent),
        f"{name}_requests_answered_per_second": rates(requested),
        f"{name}_service_cpu_per_contact": Measure("us", tuple(cpu)),
    }
