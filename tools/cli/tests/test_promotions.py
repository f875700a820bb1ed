"""`duly promote` and `duly rollback`: what is refused, what is told, and that a second time changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from duly_cli.errors import CommandFailed
from duly_cli.model_list import told_stream, worker_lines
from duly_cli.promotions import ModelPromotions
from duly_cli.servers import Servers, servers_of
from duly_contracts.events import encode
from duly_contracts.model_control import Promotion, promotion_of
from duly_risk.features import schema_sha256
from duly_testing.clock import FakeClock
from duly_training.gate import GateLine, Verdict
from duly_training.model_versions import ModelVersion, VersionUnknown
from duly_training.origin import Kind
from duly_training.promotion import control_envelope, control_key
from duly_training.registry import RegisteredModel
from kafka.errors import KafkaError

from duly.risk.v1 import events_pb2 as risk

PASSED = Verdict((GateLine("calibration error (ECE)", True, "0.0100", "at most 0.02"),))
REFUSED = Verdict((GateLine("calibration error (ECE)", False, "0.0300", "at most 0.02"),))


class Control:
    """`model-control` of one tenant, and the newest date of its ledger."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, Promotion]] = []
        self.newest: date | None = date(2031, 5, 1)
        self.up = True

    def history(self, tenant: str, role: str) -> list[Promotion]:
        return [one for _, one in self.records if (one.tenant, one.role) == (tenant, role)]

    def newest_business_date(self, tenant: str) -> date | None:
        return self.newest

    def publish(self, message: Any, tenant: str, before: Promotion | None, now: datetime) -> Any:
        if not self.up:
            raise KafkaError("no broker")
        envelope = control_envelope(message, tenant, before, now)
        role = risk.ModelRole.Name(message.role).removeprefix("MODEL_ROLE_")
        key = control_key(tenant, message.model_name, role)
        record = promotion_of(key, envelope.to_headers(), encode(message))
        assert record is not None, "no worker would act on it"
        self.records.append((message, record))
        return envelope


class Versions:
    """A registry with versions 1 to 3. verdicts: by version."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict | None] = dict.fromkeys("123", PASSED)
        self.kinds: dict[str, Kind] = {}
        self.schema = schema_sha256()
        self.aliases: dict[str, str] = {}
        self.up = True

    def version(self, version: str) -> ModelVersion:
        if version not in self.verdicts:
            raise VersionUnknown(f"the registry has no version {version}")
        model = RegisteredModel("risk", version, version * 64, self.schema, "c" * 64, "run")
        return ModelVersion(
            model, self.kinds.get(version, Kind.HAZARD), (), self.verdicts[version], datetime(2031, 1, 1, tzinfo=UTC)
        )

    def point(self, role: str, version: str) -> None:
        if not self.up:
            from mlflow.exceptions import MlflowException

            raise MlflowException("down")
        self.aliases[role] = version

    def unpoint(self, role: str) -> None:
        self.aliases.pop(role, None)


class Bench:
    def __init__(self) -> None:
        self.control, self.versions, self.said = Control(), Versions(), list[str]()
        self.promotions = ModelPromotions(
            self.control,  # type: ignore[arg-type]
            lambda: self.versions,  # type: ignore[arg-type, return-value]
            "demo",
            "ann",
            FakeClock(),
            self.said.append,
        )

    def promote(self, version: str, role: str = "CHAMPION", wanted: date | None = None, reason: str = "") -> None:
        self.promotions.promote(version, role, wanted, reason)

    def promote_and_begin(self, version: str, reason: str = "") -> None:
        """Promote, and begin the business date it is in force from."""
        self.promote(version, reason=reason)
        assert self.control.newest is not None
        self.control.newest += timedelta(days=1)

    @property
    def told(self) -> list[tuple[str, str]]:
        """(event, version) in order."""
        return [(type(message).__name__, message.model_version) for message, _ in self.control.records]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_passed_version_scores_from_the_next_business_date_and_the_alias_follows(bench: Bench) -> None:
    bench.promote("2")
    (message, record) = bench.control.records[0]
    assert (message.effective_date, message.by, message.reason) == ("2031-05-02", "ann", "gate passed, 1 checks")
    assert (message.artifact_sha256, message.golden_sha256) == ("2" * 64, "c" * 64)
    assert message.schema_sha256 == schema_sha256()
    assert bench.versions.aliases == {"CHAMPION": "2"}
    assert any("scores demo from business date 2031-05-02" in line for line in bench.said)
    assert record.version == "2"
    assert "The ledger stands at 2031-05-01: nothing changes before its day 2031-05-02 begins." in bench.said
    assert "`duly models`" in bench.said[-1]


def test_a_promotion_on_a_local_stack_says_that_somebody_has_to_begin_the_day_and_where_it_is_seen(
    bench: Bench,
) -> None:
    replace(bench.promotions, worker="http://127.0.0.1:18021").promote("2", "CHAMPION", None, "")
    assert any("begins no day by itself" in line for line in bench.said)
    assert "http://127.0.0.1:18021/status" in bench.said[-1]
    assert "## Begin the next day" in (Path(__file__).resolve().parents[3] / "README.md").read_text()


def test_before_the_first_business_date_a_promotion_waits_for_it(bench: Bench) -> None:
    bench.control.newest = None
    bench.promote("2")
    assert any("No business date of demo has begun yet" in line for line in bench.said)


@pytest.mark.parametrize(
    ("verdict", "why"), [(REFUSED, "ECE.: 0.0300, must be at most 0.02"), (None, "has no verdict")]
)
def test_without_a_passed_verdict_nothing_moves_and_the_failed_checks_are_told(
    bench: Bench, verdict: Verdict | None, why: str
) -> None:
    bench.versions.verdicts["2"] = verdict
    with pytest.raises(CommandFailed, match=why):
        bench.promote("2")
    assert (bench.told, bench.versions.aliases) == ([], {})


def test_the_debtors_rate_needs_no_gate(bench: Bench) -> None:
    bench.versions.verdicts["2"], bench.versions.kinds["2"] = REFUSED, Kind.RATE
    bench.promote("2")
    assert "it needs no gate" in bench.control.records[0][0].reason


def test_a_forced_promotion_records_who_why_and_what_failed(bench: Bench) -> None:
    bench.versions.verdicts["2"] = REFUSED
    bench.promote("2", reason="the old one is worse")
    message = bench.control.records[0][0]
    assert message.by == "ann"
    assert message.reason.startswith("forced: the old one is worse (was refused by the gate")
    assert "calibration error (ECE): 0.0300" in message.reason


def test_a_challenger_needs_no_verdict_and_leaves_the_champion_alone(bench: Bench) -> None:
    bench.promote("1")
    bench.versions.verdicts["2"] = REFUSED
    bench.promote("2", role="SHADOW")
    assert bench.versions.aliases == {"CHAMPION": "1", "SHADOW": "2"}
    assert bench.control.records[1][0].role == risk.MODEL_ROLE_SHADOW
    bench.promotions.end_shadow("seen enough")
    assert bench.told[-1] == ("RiskModelRolledBack", "")
    assert bench.versions.aliases == {"CHAMPION": "1"}


def test_repeated_after_a_crash_between_alias_and_stream_it_tells_the_stream_and_then_nothing(bench: Bench) -> None:
    bench.control.up = False
    with pytest.raises(CommandFailed, match="Kafka"):
        bench.promote("2")
    assert (bench.told, bench.versions.aliases) == ([], {"CHAMPION": "2"})
    bench.control.up = True
    bench.promote("2")
    bench.control.newest = date(2031, 5, 9)
    bench.promote("2")
    assert bench.told == [("RiskModelPromoted", "2")]


def test_a_version_of_other_features_is_refused_before_a_worker_has_to(bench: Bench) -> None:
    bench.versions.schema = "0" * 64
    with pytest.raises(CommandFailed, match="other features"):
        bench.promote("2")


@pytest.mark.parametrize(("version", "wanted", "why"), [("9", None, "no version 9"), ("2", date(2031, 5, 1), "begun")])
def test_what_cannot_be_is_one_sentence(bench: Bench, version: str, wanted: date | None, why: str) -> None:
    with pytest.raises(CommandFailed, match=why):
        bench.promote(version, wanted=wanted)
    assert bench.told == []


def test_a_roll_back_goes_to_the_version_before_at_once_and_a_second_one_no_further(bench: Bench) -> None:
    for version in "123":
        bench.promote_and_begin(version)
    bench.promotions.rollback("", "it dunned the wrong ones")
    bench.promotions.rollback("", "")
    assert bench.told[-1] == ("RiskModelRolledBack", "2")
    assert len(bench.told) == 4
    assert bench.versions.aliases == {"CHAMPION": "2"}
    bench.promotions.rollback("1", "")
    assert bench.told[-1] == ("RiskModelRolledBack", "1")


def test_a_roll_back_to_a_version_that_never_served_asks_the_gate(bench: Bench) -> None:
    bench.promote("1")
    bench.versions.verdicts["2"] = REFUSED
    with pytest.raises(CommandFailed, match="was refused by the gate"):
        bench.promotions.rollback("2", "")
    assert bench.told == [("RiskModelPromoted", "1")]
    bench.promotions.rollback("2", "now", "the only one that fits")
    assert bench.control.records[-1][0].reason.startswith("now; forced: the only one that fits (was refused by")


def test_a_version_that_was_rolled_back_passes_the_gate_before_it_serves_again(bench: Bench) -> None:
    bench.versions.verdicts["2"] = REFUSED
    bench.promote_and_begin("1")
    bench.promote_and_begin("2", reason="a try")
    bench.promotions.rollback("", "")
    with pytest.raises(CommandFailed, match="was refused by the gate"):
        bench.promotions.rollback("2", "")


def test_a_plain_roll_back_goes_to_what_scored_last_also_where_a_roll_back_had_brought_it(bench: Bench) -> None:
    bench.versions.verdicts = dict.fromkeys("12345", PASSED) | {"2": REFUSED}
    bench.promote_and_begin("2", reason="nothing else is there")
    bench.promote_and_begin("3")
    bench.promotions.rollback("4", "3 is bad")
    bench.promote("4")  # nothing to do: it is in force
    bench.promote_and_begin("5")
    bench.promotions.rollback("", "5 is bad")
    assert bench.told[-1] == ("RiskModelRolledBack", "4")


def test_a_plain_roll_back_to_what_only_a_forced_roll_back_brought_asks_the_gate_again(bench: Bench) -> None:
    bench.versions.verdicts["3"] = REFUSED
    bench.promote_and_begin("1")
    bench.promote_and_begin("2")
    bench.promotions.rollback("3", "", "for a day")
    bench.promote_and_begin("2")
    with pytest.raises(CommandFailed, match="version 3 was refused by the gate"):
        bench.promotions.rollback("", "")
    bench.promotions.rollback("", "", "better than 2")
    assert bench.told[-1] == ("RiskModelRolledBack", "3")


def test_a_promotion_for_a_date_that_has_not_come_is_neither_announced_nor_gone_back_to(bench: Bench) -> None:
    bench.promote_and_begin("1")
    bench.promote("2", wanted=date(2032, 1, 1))
    bench.promote("3")
    assert any(line.startswith("Until then risk version 1 scores") for line in bench.said)
    bench.promotions.rollback("", "3 is bad")
    assert bench.told[-1] == ("RiskModelRolledBack", "1")


def test_the_way_back_that_a_promotion_names_is_one_that_works(bench: Bench) -> None:
    bench.promote_and_begin("1")
    assert "Back: `duly rollback --to rules`." in bench.said
    bench.promote_and_begin("2")
    assert "Back: `duly rollback`." in bench.said


def test_with_the_registry_down_the_stream_is_rolled_back_and_the_alias_is_mended_later(bench: Bench) -> None:
    for version in "12":
        bench.promote_and_begin(version)
    bench.versions.up = False
    with pytest.raises(CommandFailed, match="The stream is rolled back, but the alias"):
        bench.promotions.rollback("", "")
    assert bench.told[-1] == ("RiskModelRolledBack", "1")
    bench.versions.up = True
    bench.promotions.rollback("", "")
    assert (len(bench.told), bench.versions.aliases) == (3, {"CHAMPION": "1"})


def test_back_to_the_rules_needs_no_version(bench: Bench) -> None:
    bench.promote("1")
    bench.promotions.rollback("rules", "")
    assert (bench.told[-1], bench.versions.aliases) == (("RiskModelRolledBack", ""), {})
    bench.promote("1")
    assert bench.told[-1] == ("RiskModelPromoted", "1")


def test_there_is_nothing_to_roll_back_to_before_a_second_version(bench: Bench) -> None:
    with pytest.raises(CommandFailed, match="No model was ever promoted"):
        bench.promotions.rollback("", "")
    bench.promote("1")
    with pytest.raises(CommandFailed, match="No other version was in force before"):
        bench.promotions.rollback("", "")


def test_other_tenants_are_left_alone(bench: Bench) -> None:
    bench.promote("1")
    replace(bench.promotions, tenant="other").promote("2", "CHAMPION", None, "")
    assert [one.version for one in bench.control.history("demo", "CHAMPION")] == ["1"]


def test_servers_are_named_both_or_none(tmp_path: Any) -> None:
    from duly_cli.folders import StateFolder

    both = {"KAFKA_BOOTSTRAP_SERVERS": "k:1", "MLFLOW_TRACKING_URI": "http://m"}
    assert servers_of(StateFolder(tmp_path), both) == Servers("k:1", "http://m")
    with pytest.raises(CommandFailed, match="MLFLOW_TRACKING_URI is not set"):
        servers_of(StateFolder(tmp_path), {"KAFKA_BOOTSTRAP_SERVERS": "k:1"})
    with pytest.raises(CommandFailed, match="Nothing runs here"):
        servers_of(StateFolder(tmp_path), {})


def test_an_ended_challenger_is_told_as_ended_and_the_worker_by_its_last_batch(bench: Bench) -> None:
    bench.promote("2", "SHADOW")
    bench.promotions.end_shadow("seen enough")
    told = told_stream("SHADOW", bench.control.history("demo", "SHADOW")[-1], bench.control.newest)
    assert "no model, on every date (ended by ann" in told
    scored, pending = worker_lines({"model": "risk 1 CHAMPION, risk 2 SHADOW"})  # it has seen no batch since
    assert scored == "The local worker scored its last batch with risk 1 CHAMPION, risk 2 SHADOW."
    assert "shows there after its next one" in pending
    assert worker_lines({})[0] == "The local worker has scored nothing yet."
