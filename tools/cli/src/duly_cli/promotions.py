"""`duly promote` and `duly rollback`: the verdict of the gate, the alias for people, the event that moves the stream.

Both may be repeated after any crash. What is there already is not written again, and the order is the safe one: a
promotion moves the alias first and the stream last, a roll-back the stream first, also while the registry is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from duly_contracts.envelope import Envelope
from duly_contracts.model_control import CHAMPION, MODEL_NAME, SHADOW, Promotion, Roster
from duly_risk.features import schema_sha256
from duly_runtime.clock import Clock
from duly_runtime.log import SendFailed
from duly_training.control_topic import ControlTopic
from duly_training.model_versions import ModelVersion, ModelVersions, VersionUnknown
from duly_training.origin import Kind
from duly_training.promotion import (
    DateHasBegun,
    NothingToRollBackTo,
    effective_date,
    in_force_around,
    is_promoted,
    model_of,
    promotion_event,
    record_before,
    rollback_event,
)
from duly_training.registry import ALIASES, RegisteredModel, Registry, alias_of
from kafka.errors import KafkaError

from duly_cli.errors import CommandFailed
from duly_cli.servers import Servers

RULES = "rules"
Say = Callable[[str], None]


class GateRefused(CommandFailed):
    """The gate did not let a version pass, or was never asked. summary: in half a sentence."""

    code = "gate_refused"

    def __init__(self, summary: str, text: str) -> None:
        super().__init__(text)
        self.summary = summary


@dataclass(frozen=True, slots=True)
class ModelPromotions:
    """One tenant's models. versions: made when needed, as MLflow takes seconds to import. by: who does it.

    worker: URL of the local stack's scoring worker, '' elsewhere.
    """

    control: ControlTopic
    versions: Callable[[], ModelVersions]
    tenant: str
    by: str
    clock: Clock
    say: Say
    worker: str = ""

    def promote(self, version: str, role: str, wanted: date | None, force_reason: str) -> None:
        """Make a version what scores (CHAMPION) or what is scored beside (SHADOW). Raises CommandFailed."""
        with kafka_faults():
            found = self._promotable(version)
            reason = self._verdict(found, role, force_reason)
            history = self.control.history(self.tenant, role)
            newest = history[-1] if history else None
            if is_promoted(newest, found.model, wanted):
                self._alias(role, found.model)
                self.say(f"{self._name(found.model)} is {ALIASES[role]} of {self.tenant} already: nothing to do.")
                return
            stands_at = self.control.newest_business_date(self.tenant)
            effective = effective_date(wanted, stands_at)
            self._alias(role, found.model)
            message = promotion_event(found.model, effective, self.by, reason, role)
            envelope = self.control.publish(message, self.tenant, newest, self.clock.now())
        self._tell_promotion(found.model, role, effective, history, envelope)
        self._tell_when(effective, stands_at)

    def rollback(self, to: str, reason: str, force_reason: str = "") -> None:
        """What scored before scores again, at once. to: a version, 'rules', or '' for the one before.

        A version that no promotion brought, or that was taken away since, passes the gate as one that is promoted.
        """
        with kafka_faults():
            history = self.control.history(self.tenant, CHAMPION)
            if not history:
                raise CommandFailed(f"No model was ever promoted for {self.tenant}, so there is nothing to roll back.")
            newest = history[-1]
            if not to and newest.is_rollback:
                target = model_of(newest)
                self.say(f"Rolled back already, {newest.promoted_at:%Y-%m-%d %H:%M} UTC: `--to` goes further back.")
            else:
                target, verdict = self._target(to, history, force_reason)
                reason = "; ".join(part for part in (reason, verdict) if part)
            if not (newest.is_rollback and newest.version == (target.version if target else "")):
                message = rollback_event(target, self.by, reason)
                envelope = self.control.publish(message, self.tenant, newest, self.clock.now())
                self.say(f"Published risk.model_rolled_back ({envelope.id}).")
                self.say(f"{self._name(target)} scores from each worker's next batch on, on every business date.")
        self._alias_after_rollback(target)

    def end_shadow(self, reason: str) -> None:
        """Nobody is scored beside the champion any more."""
        with kafka_faults():
            history = self.control.history(self.tenant, SHADOW)
            if not history or not history[-1].has_model:
                self.say(f"Nobody is scored beside the champion of {self.tenant}.")
                return
            message = rollback_event(None, self.by, reason, SHADOW)
            self.control.publish(message, self.tenant, history[-1], self.clock.now())
        self.say(f"{self._name(model_of(history[-1]))} is scored no more, from each worker's next batch on.")
        with registry_faults():
            self.versions().unpoint(SHADOW)

    def _promotable(self, version: str) -> ModelVersion:
        with registry_faults():
            found = self.versions().version(version)
        model = found.model
        if not (model.artifact_sha256 and model.golden_sha256 and model.schema_sha256):
            raise CommandFailed(f"{self._name(model)} carries no hashes, so no worker would take it: train it anew.")
        if model.schema_sha256 != schema_sha256():
            raise CommandFailed(
                f"{self._name(model)} was fitted on other features than this release computes, so its workers would "
                "refuse it: train it anew, or promote it with the release it belongs to."
            )
        return found

    def _verdict(self, found: ModelVersion, role: str, force_reason: str) -> str:
        """The reason that the event records. Raises CommandFailed without a passed verdict or a reason of somebody."""
        if found.kind is Kind.RATE:
            return "the debtor's rate as a curve, what a refused model is measured against: it needs no gate"
        verdict = found.verdict
        if verdict is not None and verdict.promote:
            return f"gate passed, {len(verdict.lines)} checks"
        what = (
            "has no verdict of the gate"
            if verdict is None
            else f"was refused by the gate ({len(verdict.failed)} checks)"
        )
        if role == SHADOW:
            return f"shadow only, {what}"
        lines = [] if verdict is None else verdict.failed
        if force_reason:
            failed = "; ".join(f"{line.name}: {line.value}, must be {line.limit}" for line in lines)
            return f"forced: {force_reason} ({what}{': ' + failed if failed else ''})"
        rows = "".join(f"\n  {line.name}: {line.value}, must be {line.limit}" for line in lines)
        raise GateRefused(
            what,
            f"{self._name(found.model)} {what}.{rows}\n"
            "Let it run beside the champion (`--as challenger`), train a better one, or take it all the same with "
            '`--force-reason "..."`, which is recorded.',
        )

    def _target(self, to: str, history: list[Promotion], force_reason: str) -> tuple[RegisteredModel | None, str]:
        """Where to, and what the gate said where it was asked."""
        if to == RULES:
            return None, ""
        if not to:
            before = record_before(history, self.control.newest_business_date(self.tenant))
            if not before.has_model:
                return None, ""
            to = before.version
        for one in Roster.of(history).promoted(self.tenant, CHAMPION):
            if one.version == to:
                return model_of(one), ""
        found = self._promotable(to)
        return found.model, self._verdict(found, CHAMPION, force_reason)

    def _alias(self, role: str, model: RegisteredModel) -> None:
        with registry_faults():
            self.versions().point(role, model.version)

    def _alias_after_rollback(self, target: RegisteredModel | None) -> None:
        try:
            with registry_faults():
                versions = self.versions()
                if target is None:
                    versions.unpoint(CHAMPION)
                else:
                    versions.point(CHAMPION, target.version)
        except CommandFailed as error:
            raise CommandFailed(
                f"The stream is rolled back, but the alias in the registry is not: {error} It only tells people what "
                "serves; run the same command again when the registry answers."
            ) from error

    def _tell_promotion(
        self, model: RegisteredModel, role: str, effective: date | None, history: list[Promotion], envelope: Envelope
    ) -> None:
        when = f"from business date {effective} on" if effective else "from the first record on"
        self.say(f"Published risk.model_promoted ({envelope.id}); alias {alias_of(role, self.tenant)} moved.")
        if role == SHADOW:
            self.say(f"{self._name(model)} is scored beside the champion {when}, role SHADOW: nobody acts on it.")
            return
        self.say(
            f"{self._name(model)} scores {self.tenant} {when}. Workers load and check it now, and swap by themselves."
        )
        until, instead = in_force_around(history, effective)
        old, other = self._name(until), self._name(instead)
        self.say(f"Until then {old} scores, where it fails its checks {other}.")
        self.say(f"Back: `duly rollback{'' if until else ' --to rules'}`.")

    def _tell_when(self, effective: date | None, stands_at: date | None) -> None:
        """What has to happen before anything is to be seen, and where it is seen then."""
        if effective and stands_at:
            self.say(f"The ledger stands at {stands_at}: nothing changes before its day {effective} begins.")
            if self.worker:
                self.say("A local stack begins no day by itself; README.md has the call: Begin the next day.")
        else:
            self.say(f"No business date of {self.tenant} has begun yet: nothing is to be seen before the first.")
        status = f", {self.worker}/status" if self.worker else ""
        self.say(f"To see it: `duly models` (what is promoted, whether its day has begun, what scores now){status}.")

    def _name(self, model: RegisteredModel | None) -> str:
        return "the rules score" if model is None else f"{MODEL_NAME} version {model.version}"


def promotions_of(servers: Servers, tenant: str, by: str, clock: Clock, say: Say) -> ModelPromotions:
    """Over real servers."""
    mlflow_gives_up_soon()

    def versions() -> ModelVersions:
        return ModelVersions(Registry(servers.tracking_uri, tenant))

    return ModelPromotions(ControlTopic(servers.kafka), versions, tenant, by, clock, say, servers.scoring)


def mlflow_gives_up_soon() -> None:
    """Its own defaults wait minutes for a server that is down."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


@contextmanager
def kafka_faults() -> Iterator[None]:
    """What may go wrong with Kafka and with a request, in one sentence."""
    try:
        yield
    except (VersionUnknown, DateHasBegun, NothingToRollBackTo) as error:
        raise CommandFailed(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
    except (KafkaError, SendFailed) as error:
        raise CommandFailed(f"Kafka does not do its part: {error}.") from error


@contextmanager
def registry_faults() -> Iterator[None]:
    """The same for the registry. Apart, as importing MLflow takes seconds that a roll-back does not have."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise CommandFailed(f"The model registry does not answer: {str(error).splitlines()[0][:200]}.") from error
