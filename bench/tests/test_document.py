"""The document's shape, with a clock of its own. Nothing is timed and nothing is started."""

from __future__ import annotations

import json

import pytest
from duly_testing.clock import FakeClock

from bench.figures import Measure, Result, cpu_per, latencies, quantile, rates
from bench.machine import machine
from bench.report import document, failed
from bench.stage import BenchFailed


def a_result() -> Result:
    return Result({"facts_per_second": rates([10.0, 30.0, 20.0])}, {"facts": 60}, ("kafka", "ledger-sync"))


def made_of(cases: dict[str, object], clock: FakeClock, said: list[str]) -> dict[str, object]:
    head = {"cpu": "some", "cores": 2}
    return document(
        head,
        {"kafka": "4.3.0"},
        cases,  # type: ignore[arg-type]
        quick=True,
        clock=clock,
        load=lambda: [0.5, 0.4, 0.3],
        tell=said.append,
    )


def test_the_document_names_machine_versions_start_and_every_bench() -> None:
    clock, said = FakeClock(), list[str]()

    def slow() -> Result:
        clock.advance(seconds=2)
        return a_result()

    result = made_of({"ledger_sync": slow}, clock, said)

    assert result == json.loads(json.dumps(result))
    assert result["machine"] == {"cpu": "some", "cores": 2}
    assert result["versions"] == {"kafka": "4.3.0"}
    assert result["quick"] is True
    assert result["seconds"] == 2.0
    assert result["benches"] == {
        "ledger_sync": {
            "seconds": 2.0,
            "load_average_before": [0.5, 0.4, 0.3],
            "measures": {"facts_per_second": {"unit": "1/s", "count": 3, "median": 20.0, "min": 10.0, "max": 30.0}},
            "conditions": {"facts": 60},
            "running": ["kafka", "ledger-sync"],
        }
    }
    assert said == ["bench 1/1: ledger_sync"]


def test_a_bench_that_fails_says_why_and_the_others_go_on() -> None:
    def broken() -> Result:
        raise BenchFailed("nothing came\nand a long log")

    result = made_of({"gateway": broken, "risk": a_result}, FakeClock(), [])

    benches = result["benches"]
    assert isinstance(benches, dict)
    assert benches["gateway"]["error"] == "BenchFailed: nothing came"
    assert "measures" not in benches["gateway"]
    assert benches["risk"]["measures"]["facts_per_second"]["count"] == 3
    assert failed(result) == ["gateway"]


def test_a_fault_of_our_own_is_no_figure() -> None:
    def wrong() -> Result:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        made_of({"risk": wrong}, FakeClock(), [])


def test_latencies_are_milliseconds_with_p50_and_p99() -> None:
    told = latencies([value / 1000 for value in range(1, 201)]).to_json()
    assert told == {"unit": "ms", "count": 200, "median": 100.5, "min": 1.0, "max": 200.0, "p50": 100.0, "p99": 198.0}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([1.0, 2.0, 3.0], 50) == 2.0
    assert quantile([1.0, 2.0, 3.0], 99) == 3.0
    assert quantile([7.0], 1) == 7.0


def test_a_measure_without_values_says_so() -> None:
    assert Measure("ms", ()).to_json() == {"unit": "ms", "count": 0}


def test_the_machine_is_named() -> None:
    told = machine()
    assert set(told) == {"cpu", "cores", "memory_gib", "kernel", "python"}
    assert all(told.values())


def test_a_cost_has_no_value_where_a_warm_up_took_all() -> None:
    assert cpu_per(0.5, 2_000).values == (250.0,)
    assert cpu_per(0.5, 0).to_json() == {"unit": "us", "count": 0}
