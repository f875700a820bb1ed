"""A report in words and as Prometheus text, with what to do about it. The runbook has more: docs/runbooks/models.md."""

from __future__ import annotations

from collections.abc import Iterator

from duly_runtime.metrics import (
    MONITOR_AGREEMENT,
    MONITOR_CUSUM,
    MONITOR_DRIFT,
    MONITOR_ECE,
    MONITOR_LEVEL,
    MONITOR_MISSING,
    MONITOR_PAYMENTS,
    MONITOR_RIPE,
    MONITOR_RUN,
    MONITOR_SLOPE,
    Metrics,
)
from prometheus_client import generate_latest

from duly_training.monitor.drift import DEBTORS_MIN, MISSING_DEBTORS_MIN
from duly_training.monitor.report import (
    AGREEMENT,
    CALIBRATION,
    DRIFT,
    ECE_WARN,
    PAYMENTS,
    RIPE_MIN,
    Level,
    MonitorReport,
    QuantityDrift,
    RipeCalibration,
    SegmentPayments,
)

RUNBOOK = "docs/runbooks/models.md"
_ADVICE = {
    PAYMENTS: "Payments do not come as the model expects. Promote nothing; let a challenger trained on newer data run "
    "beside it (`duly promote N --as challenger`); read forecasts with a wider band. One segment behind: look there.",
    CALIBRATION: "Probabilities are off on invoices whose outcome is known. Train on newer data and compare; until "
    "then bands are too high or too low by what the table shows.",
    DRIFT: "The debtors or their data have changed. Look at the feature's source first: an ERP field that is no longer "
    "filled moves it as well as the market does.",
    AGREEMENT: "Champion and challenger rank debtors differently. Compare them on the same invoices before promoting.",
}

_PAYMENTS_WARNING = (
    "A segment's payments stray from what the model expects, or all of them begin to. Nothing to do yet but to look at "
    "those debtors; it is an alarm when payments of all debtors together fall behind."
)


def lines_of(report: MonitorReport) -> Iterator[str]:
    """For a terminal."""
    yield f"Model version {report.version} of {report.tenant}, seen on {report.at}: {report.level.name}"
    yield ""
    yield f"Payments since {report.since} against those expected (last 28 days; alarm of the sums at 5):"
    yield from (_payment_line(one) for one in report.payments)
    if not report.payments:
        yield "  nothing yet: the model was fitted on everything up to now"
    yield "P(unpaid k days after due) where the outcome can be known:"
    yield from (_calibration_line(one) for one in report.calibration)
    moved = [one for one in report.drift if one.level > Level.OK]
    yield from _drift_title(report, len(moved))
    yield from (_drift_line(one) for one in sorted(moved, key=lambda one: -(one.psi or 0.0)))
    yield from _flow_lines(report)
    for topic, level in report.levels.items():
        if level > Level.OK:
            yield ""
            advice = _PAYMENTS_WARNING if (topic, level) == (PAYMENTS, Level.WARN) else _ADVICE[topic]
            yield f"{level.name} {topic}: {advice} {RUNBOOK}#model{topic}"


def prometheus_text(report: MonitorReport, run_at: float) -> str:
    """Gauges in the text format, for a node exporter's textfile collector. run_at: seconds since 1970."""
    metrics, tenant = Metrics(), report.tenant
    metrics.set(MONITOR_RUN, run_at, tenant=tenant, version=report.version)
    for topic, level in report.levels.items():
        metrics.set(MONITOR_LEVEL, level, tenant=tenant, topic=topic)
    for one in report.payments:
        if one.ratio is not None:
            metrics.set(MONITOR_PAYMENTS, one.ratio, tenant=tenant, segment=one.segment)
        for direction, value in (("behind", one.behind), ("ahead", one.ahead)):
            metrics.set(MONITOR_CUSUM, value, tenant=tenant, segment=one.segment, direction=direction)
    for ripe in report.calibration:
        k = str(ripe.k)
        metrics.set(MONITOR_RIPE, ripe.ripe_share, tenant=tenant, k=k)
        if ripe.ece is not None:
            metrics.set(MONITOR_ECE, ripe.ece, tenant=tenant, k=k)
        if ripe.slope is not None:
            metrics.set(MONITOR_SLOPE, ripe.slope, tenant=tenant, k=k)
    for drift in report.drift:
        metrics.set(MONITOR_MISSING, drift.missing_now, tenant=tenant, quantity=drift.name)
        if drift.psi is not None:
            metrics.set(MONITOR_DRIFT, drift.psi, tenant=tenant, quantity=drift.name)
    if report.flow is not None and report.flow.agreement is not None:
        metrics.set(MONITOR_AGREEMENT, report.flow.agreement, tenant=tenant)
    return generate_latest(metrics.registry).decode()


def _payment_line(one: SegmentPayments) -> str:
    ratio = "-" if one.ratio is None else f"{one.ratio:.2f}"
    alarms = f"; behind on {', '.join(one.alarms_behind)}" if one.alarms_behind else ""
    alarms += f"; ahead on {', '.join(one.alarms_ahead)}" if one.alarms_ahead else ""
    return (
        f"  {one.segment:<11} {one.observed:7.0f} of {one.expected:9.1f}  {ratio:>5}  behind {one.behind:4.1f}  "
        f"ahead {one.ahead:4.1f}  {one.level.name}{alarms}"
    )


def _calibration_line(one: RipeCalibration) -> str:
    if one.ece is None or one.ece_limit_by_chance is None:
        return (
            f"  k = {one.k:<3} {one.ripe} ripe invoices ({one.ripe_share:.0%}): too few to tell, {RIPE_MIN} are needed"
        )
    slope = "-" if one.slope is None else f"{one.slope:.2f} +- {one.slope_error:.2f}"
    return (
        f"  k = {one.k:<3} {one.ripe} ripe ({one.ripe_share:.0%}) of {one.debtors} debtors: "
        f"{one.observed:.3f} observed, {one.expected:.3f} expected, "
        f"ECE {one.ece:.3f} (by chance up to {one.ece_limit_by_chance:.3f}, "
        f"WARN above {one.ece_limit_by_chance + ECE_WARN:.3f}), slope {slope}  {one.level.name}"
    )


def _drift_title(report: MonitorReport, moved: int) -> Iterator[str]:
    measured = sum(one.psi is not None for one in report.drift)
    yield f"Features and scores of the last 28 days against the fit: {moved} of {len(report.drift)} have moved."
    if measured < len(report.drift):
        yield (
            f"  {len(report.drift) - measured} of them: not enough to say, fewer than {DEBTORS_MIN} debtors had a new "
            f"invoice; only missing values are watched, from {MISSING_DEBTORS_MIN} debtors on"
        )


def _drift_line(one: QuantityDrift) -> str:
    psi = "-" if one.psi is None else f"{one.psi:.3f}"
    return f"  {one.name:<16} PSI {psi}, missing {one.missing_then:.1%} -> {one.missing_now:.1%}  {one.level.name}"


def _flow_lines(report: MonitorReport) -> Iterator[str]:
    flow = report.flow
    if flow is None:
        yield "Recorded scores were not read: no band flow, no rank agreement with a challenger."
        return
    bands = ", ".join(f"{band} {count}" for band, count in sorted(flow.bands.items()))
    moves = ", ".join(f"{before} -> {after} {count}" for (before, after), count in sorted(flow.moves.items()))
    yield f"{flow.scores} recorded scores; debtors by band: {bands or 'none'}; moves: {moves or 'none'}"
    if flow.pairs:
        agreement = "too few to tell" if flow.agreement is None else f"{flow.agreement:.3f}"
        level = report.levels[AGREEMENT].name
        yield f"Rank agreement with the challenger over {flow.pairs} scores: {agreement}  {level}"
