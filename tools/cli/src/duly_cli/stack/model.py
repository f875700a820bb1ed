"""The model of a stack: trained on the ledger's history, or taken from the registry, and named in `model-control`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import kafka
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.ids import named_id
from duly_training.origin import TooFewSettledInvoices
from duly_training.promotion import control_key, promotion_of
from duly_training.registry import RegisteredModel
from duly_training.train import train_on
from kafka.errors import KafkaError

from duly_cli.errors import StackError
from duly_cli.playing import Prepared
from duly_cli.stack.local import LocalStack

MODEL_NAME = "risk"
_SEND_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Model:
    """registered None = too little history: the rules score serves. effective: first business date it scores."""

    registered: RegisteredModel | None
    description: str
    effective: date

    @property
    def version(self) -> str:
        return self.registered.version if self.registered else ""


def trained_model(
    stack: LocalStack, prepared: Prepared, seed: int, on_progress: Callable[[int, int, str], None]
) -> Model:
    """The champion for what was known before the play; fitted only if the registry has none for it."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it talks into the bars
    play_from = prepared.source.play_from
    try:
        report = train_on(
            prepared.ledger,
            stack.mlflow.tracking_uri,
            play_from,
            seed,
            lambda stage, done, total: on_progress(done, total, stage),
        )
    except TooFewSettledInvoices as error:
        return Model(None, f"none, the rules score serves: {error}", play_from)
    how = "trained before" if report.reused else "trained"
    version = f"{MODEL_NAME} version {report.model.version}"
    if report.verdict is not None and not report.verdict.promote:
        return Model(report.model, f"{version} ({report.kind}) serves: {report.verdict.short_reason}", play_from)
    return Model(report.model, f"{version}, {how}", play_from)


def promote(stack: LocalStack, model: Model) -> None:
    """Publish `risk.model_promoted`; without a model nothing, and the rules score serves. Raises StackError."""
    if model.registered is None:
        return
    message = promotion_of(model.registered, model.effective, "duly", "trained at the start of the local stack")
    now = stack.clock.now()
    envelope = Envelope(
        id=named_id("promotion", stack.tenant, MODEL_NAME, model.registered.version, stack.run.name),
        type=event_of(message).type,
        source=f"/tenants/{stack.tenant}/services/training",
        subject=MODEL_NAME,
        time=now,
        tenant=stack.tenant,
    )
    key = control_key(stack.tenant, MODEL_NAME)
    try:
        producer = kafka.KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers, acks="all")
        try:
            sent = producer.send("model-control", key=key, value=encode(message), headers=envelope.to_headers())
            sent.get(timeout=_SEND_SECONDS)
        finally:
            producer.close()
    except KafkaError as error:
        raise StackError(f"The champion cannot be named in model-control: {error}.") from error
