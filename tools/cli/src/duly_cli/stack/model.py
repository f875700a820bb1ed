"""The model of a stack: trained on the history, or taken from the registry, and promoted if its gate passed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from duly_contracts.model_control import CHAMPION, MODEL_NAME
from duly_training.fit import FitSettings
from duly_training.origin import TooFewSettledInvoices
from duly_training.registry import RegisteredModel, Registry
from duly_training.request import TrainingRequest
from duly_training.train import train_on

from duly_cli.playing import Prepared
from duly_cli.promotions import GateRefused, promotions_of
from duly_cli.servers import Servers
from duly_cli.stack.local import LocalStack

_BY = "duly"


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
    """The model for what was known before the play; fitted only if the registry has none for it."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it talks into the bars
    play_from = prepared.source.play_from
    try:
        report = train_on(
            prepared.ledger,
            Registry(stack.mlflow.tracking_uri, stack.tenant),
            TrainingRequest(play_from, FitSettings(seed)),
            lambda stage, done, total: on_progress(done, total, stage),
        )
    except TooFewSettledInvoices as error:
        return Model(None, f"none, the rules score serves: {error}", play_from)
    how = "trained before" if report.reused else "trained"
    version = f"{MODEL_NAME} version {report.model.version}"
    if report.verdict is not None and not report.verdict.promote:
        return Model(report.model, f"{version} ({report.kind}) serves: {report.verdict.short_reason}", play_from)
    return Model(report.model, f"{version}, {how}", play_from)


def promote(stack: LocalStack, model: Model) -> str:
    """Let it score from the first played date on, if its gate passed; what came of it. Raises CommandFailed."""
    if model.registered is None:
        return "no model, the rules score"
    servers = Servers(stack.kafka.bootstrap_servers, stack.mlflow.tracking_uri)
    promotions = promotions_of(servers, stack.tenant, _BY, stack.clock, lambda line: None)
    try:
        promotions.promote(model.version, CHAMPION, model.effective, "")
    except GateRefused as refused:
        return f"version {model.version} is refused, the rules score: {refused.summary}"
    return f"version {model.version}, from {model.effective} on"
