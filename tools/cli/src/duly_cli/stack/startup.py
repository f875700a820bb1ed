"""The start-up of a stack as numbered steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from duly_localstack import preflight
from duly_localstack.class_archive import ensure_class_archive
from duly_localstack.errors import StackError
from duly_localstack.jars import ensure_jars
from duly_localstack.ports import require_free_ports

from duly_cli.ledgers import LedgerChoice
from duly_cli.playing import Prepared, prepare_ledger
from duly_cli.stack.local import LocalStack
from duly_cli.stack.model import Model, promote, trained_model
from duly_cli.stack.services import SERVICES, child_spec, migrate
from duly_cli.stack.topics import ensure_topics
from duly_cli.steps import Step, run_steps
from duly_cli.terminal import Line, Terminal

_WITH_MODEL = "scoring"
MIGRATIONS_AT_ONCE = 2


@dataclass(slots=True)
class Startup:
    """Steps over one stack. With a ledger choice a ledger is prepared and a model trained on its history."""

    stack: LocalStack
    choice: LedgerChoice | None = None
    prepared: Prepared | None = None
    model: Model | None = None

    def run(self, terminal: Terminal) -> Mapping[str, float]:
        """Run all steps; name -> seconds. Raises what a step raises."""
        return run_steps(self.steps(), terminal, self.stack.clock)

    def steps(self) -> tuple[Step, ...]:
        """In order; each stands behind all it needs."""
        services = [service for service in SERVICES if service.name != _WITH_MODEL]
        model_steps = self._model_steps() if self.choice is not None else ()
        model_first = ("promote",) if model_steps else ()
        return (
            Step("check", "Check Python, disk and ports", self._check),
            Step("credentials", "Make keys, passwords and tokens", self._credentials, ("check",)),
            Step("jars", "Fetch Kafka's jars", self._jars, ("check",)),
            Step("postgres", "Start PostgreSQL", self._postgres, ("credentials",)),
            Step("mlflow", "Start MLflow", self._mlflow, ("check",)),
            Step("mailbox", "Start the e-mail inbox", self._mailbox, ("check",)),
            Step("kafka", "Start Kafka", self._kafka, ("jars",)),
            Step("topics", "Make the topics", self._topics, ("kafka",)),
            Step("databases", "Make databases and migrate them", self._databases, ("postgres",)),
            *model_steps,
            *(
                Step(service.name, f"Start {service.name}", self._service(service.name), ("topics", "databases"))
                for service in services
            ),
            Step(_WITH_MODEL, f"Start {_WITH_MODEL}", self._service(_WITH_MODEL), ("topics", "mlflow", *model_first)),
        )

    def _model_steps(self) -> tuple[Step, ...]:
        return (
            Step("ledger", "Prepare the ledger", self._ledger, ("check",)),
            Step("model", "Train the model, or take the one trained before", self._model, ("ledger", "mlflow")),
            Step("promote", "Promote the model", self._promote, ("model", "topics")),
        )

    def _check(self, line: Line) -> str:
        preflight.check_all(self.stack.state.root)
        require_free_ports(self.stack.ports.numbers())
        return f"ports from {self.stack.ports.base} are free"

    def _credentials(self, line: Line) -> str:
        self.stack.credentials.make(self.stack.clock.now(), self.stack.tenant)
        return f"in {_short(self.stack.run.credentials)}"

    def _jars(self, line: Line) -> str:
        self.stack.state.jars.parent.mkdir(parents=True, exist_ok=True)
        ensure_jars(self.stack.state.jars, on_progress=lambda done, total: line.progress(done, total, "jars"))
        return f"{len(list(self.stack.state.jars.glob('*.jar')))} jars, each with the right sha256"

    def _postgres(self, line: Line) -> str:
        self.stack.serve(self.stack.postgres)
        return f"port {self.stack.postgres.port}"

    def _mlflow(self, line: Line) -> str:
        self.stack.serve(self.stack.mlflow)
        return self.stack.mlflow.tracking_uri

    def _mailbox(self, line: Line) -> str:
        self.stack.serve(self.stack.mailbox)
        return f"SMTP on port {self.stack.mailbox.port}, nothing leaves this machine"

    def _kafka(self, line: Line) -> str:
        self.stack.serve(self.stack.kafka)
        return f"port {self.stack.kafka.port}"

    def _topics(self, line: Line) -> str:
        return f"{ensure_topics(self.stack.kafka.bootstrap_servers)} topics"

    def _databases(self, line: Line) -> str:
        """The migrations run in processes of the services, two at a time."""
        mine = [service for service in SERVICES if service.has_database]
        for service in mine:
            password = self.stack.credentials.password(service.name)
            self.stack.postgres.create_role_and_database(service.role, password)
        line.progress(0, len(mine), "migrated")
        with ThreadPoolExecutor(MIGRATIONS_AT_ONCE, thread_name_prefix="migrate") as pool:
            for done, _ in enumerate(pool.map(lambda service: migrate(self.stack, service), mine), start=1):
                line.progress(done, len(mine), "migrated")
        return ", ".join(service.role for service in mine)

    def _ledger(self, line: Line) -> str:
        assert self.choice is not None  # the step is there only with a choice
        self.prepared = prepare_ledger(self.choice, self.stack.tenant)
        source = self.prepared.source
        return f"{self.prepared.description}; played from {source.play_from} to {source.play_until}"

    def _model(self, line: Line) -> str:
        assert self.prepared is not None  # made by the step before
        assert self.choice is not None  # the step is there only with a choice
        self.model = trained_model(self.stack, self.prepared, self.choice.seed, line.progress)
        return self.model.description

    def _promote(self, line: Line) -> str:
        assert self.model is not None  # made by the step before
        return promote(self.stack, self.model)

    def _service(self, name: str) -> Callable[[Line], str]:
        service = next(service for service in SERVICES if service.name == name)

        def start(line: Line) -> str:
            self.stack.start(child_spec(self.stack, service))
            return "ready"

        return start


def speed_up_next_start(stack: LocalStack) -> None:
    """Make Kafka's class archive once, when nobody waits. Optional: a failure only leaves the next start slower."""
    try:
        ensure_class_archive(stack.state.jars)
    except StackError:
        return


def _short(path: object) -> str:
    return str(path)
