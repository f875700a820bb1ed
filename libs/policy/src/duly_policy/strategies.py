"""The strategy schema: from a parsed YAML document to a `Strategy`. Every fault is reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Any

from duly_policy.inputs import Autonomy, Channel
from duly_policy.ladder import Band, LadderStep, Stage, Strategy
from duly_policy.packs import InvalidPack

FIELDS = frozenset({"strategy", "version", "effective", "stage", "cite", "mark", "autonomy", "steps", "timing_dpd"})
STEP_FIELDS = frozenset({"id", "step", "tone", "template", "channel", "action"})

Raw = Mapping[str, Any]


def parse_strategy(document: Raw) -> Strategy:
    """Raises InvalidPack with every fault of the document."""
    if faults := strategy_faults(document):
        raise InvalidPack("; ".join(faults))
    return _strategy(document)


def strategy_faults(document: Raw) -> list[str]:
    faults = [f"missing {name}" for name in sorted(FIELDS) if not document.get(name)]
    faults += [f"unknown field {name}" for name in sorted(set(document) - FIELDS)]
    effective = document.get("effective")
    if not isinstance(effective, Mapping) or not isinstance(effective.get("from"), date):
        faults.append("missing effective.from")
    for raw in document.get("steps") or []:
        if set(raw) != STEP_FIELDS:
            faults.append(f"step {raw.get('id')}: fields are {sorted(STEP_FIELDS)}")
    if faults:
        return faults
    faults += _ladder_faults(document)
    if not faults:
        try:
            _strategy(document)
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"unusable: {error!r}")
    return faults


def _ladder_faults(document: Raw) -> list[str]:
    steps, timing = document["steps"], document["timing_dpd"]
    faults = []
    if [step["step"] for step in steps] != list(range(1, len(steps) + 1)):
        faults.append("steps are numbered 1, 2, 3 ...")
    if set(timing) != set(Band):
        faults.append(f"timing_dpd names exactly {[band.value for band in Band]}")
    for band, days in timing.items():
        if len(days) != len(steps):
            faults.append(f"{band}: one dpd per step")
        if not all(isinstance(dpd, int) and dpd >= 1 for dpd in days) or any(a >= b for a, b in pairwise(days)):
            faults.append(f"{band}: dpd start at 1 and rise from step to step")
    return faults


def _strategy(document: Raw) -> Strategy:
    autonomy = dict(document["autonomy"])
    default = Autonomy(autonomy.pop("default"))
    return Strategy(
        name=document["strategy"],
        version=str(document["version"]),
        effective_from=document["effective"]["from"],
        stage=Stage(document["stage"]),
        steps={band: _steps(document["steps"], document["timing_dpd"][band]) for band in Band},
        autonomy={action: Autonomy(level) for action, level in autonomy.items()},
        autonomy_default=default,
        rule_ids={raw["step"]: raw["id"] for raw in document["steps"]},
    )


def _steps(raw_steps: list[Raw], days: list[int]) -> tuple[LadderStep, ...]:
    return tuple(
        LadderStep(raw["step"], dpd, raw["tone"], raw["template"], Channel(raw["channel"]), raw["action"])
        for raw, dpd in zip(raw_steps, days, strict=True)
    )
