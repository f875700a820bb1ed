"""`CaseBook` and `TreatmentBook` on PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from duly_policy import PastAttempt
from duly_runtime.database import Connection

from outreach.adapters.postgres.rows import TREATMENT_COLUMNS, attempt_of, case_of, treatment_of, treatment_row
from outreach.domain.planning import Plan
from outreach.domain.treatment import CancelReason, Case, Treatment, TreatmentState

_PLACES = ", ".join(["%s"] * len(TREATMENT_COLUMNS))
_ADD = f"insert into treatment ({', '.join(TREATMENT_COLUMNS)}) values ({_PLACES})"  # noqa: S608 - our own names

_RECORD = """
insert into decision (tenant, decision_id, treatment_id, debtor_id, case_id, step_no, business_date, answer, rule_ids,
    reasons, pack_versions, strategy_version, evaluator_version, tzdata_version, score_id, input, input_sha256,
    evaluated_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class PostgresCaseBook:
    connection: Connection

    def latest(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Case]:
        rows = self.connection.execute(
            "select distinct on (debtor_id) case_id, debtor_id, episode, opened_on, closed_on from debt_case"
            " where tenant = %s and debtor_id = any(%s) order by debtor_id, episode desc",
            (tenant, list(debtor_ids)),
        ).fetchall()
        return {row["debtor_id"]: case_of(row) for row in rows}

    def save(self, tenant: str, cases: Sequence[Case]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into debt_case (tenant, case_id, debtor_id, episode, opened_on, closed_on)"
                " values (%s, %s, %s, %s, %s, %s)"
                " on conflict (tenant, case_id) do update set closed_on = excluded.closed_on",
                [(tenant, c.case_id, c.debtor_id, c.episode, c.opened_on, c.closed_on) for c in cases],
            )


@dataclass(frozen=True, slots=True)
class PostgresTreatmentBook:
    connection: Connection

    def known(self, tenant: str, treatment_ids: Sequence[str]) -> frozenset[str]:
        if not treatment_ids:
            return frozenset()
        rows = self.connection.execute(
            "select treatment_id from treatment where tenant = %s and treatment_id = any(%s)",
            (tenant, list(treatment_ids)),
        ).fetchall()
        return frozenset(row["treatment_id"] for row in rows)

    def add(self, treatment: Treatment) -> None:
        self.connection.execute(_ADD, treatment_row(treatment))

    def record_decision(self, plan: Plan) -> None:
        t, d = plan.treatment, plan.decision
        self.connection.execute(
            _RECORD,
            (
                t.tenant, d.decision_id, t.treatment_id, t.debtor_id, t.case_id, t.step_no, t.business_date, d.answer,
                list(t.rule_ids), list(t.reasons), list(t.pack_versions), t.strategy_version, d.evaluator_version,
                d.tzdata_version, t.score_id, plan.gate_input_json, d.input_sha256, d.evaluated_at,
            ),
        )  # fmt: skip

    def waiting(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Sequence[Treatment]]:
        rows = self.connection.execute(
            "select * from treatment where tenant = %s and debtor_id = any(%s)"
            " and state in ('PLANNED', 'REQUESTED', 'WAITING', 'HELD') order by debtor_id, planned_at, treatment_id",
            (tenant, list(debtor_ids)),
        ).fetchall()
        found: defaultdict[str, list[Treatment]] = defaultdict(list)
        for row in rows:
            found[row["debtor_id"]].append(treatment_of(row))
        return found

    def of_contact(self, tenant: str, contact_id: str) -> Treatment | None:
        row = self.connection.execute(
            "select * from treatment where tenant = %s and contact_id = %s", (tenant, contact_id)
        ).fetchone()
        return None if row is None else treatment_of(row)

    def move(self, treatment: Treatment, to: TreatmentState, until: datetime | None = None) -> None:
        self.connection.execute(
            "update treatment set state = %s, until = %s where tenant = %s and treatment_id = %s",
            (to, until, treatment.tenant, treatment.treatment_id),
        )

    def mark_requested(self, tenant: str, contact_id: str) -> None:
        self.connection.execute(
            "update treatment set state = 'REQUESTED' where tenant = %s and contact_id = %s and state = 'PLANNED'",
            (tenant, contact_id),
        )

    def cancel(self, treatment: Treatment, reason: CancelReason, cause_event_id: str) -> None:
        self.connection.execute(
            "update treatment set state = 'CANCELLED', cancel_reason = %s, cause_event_id = %s"
            " where tenant = %s and treatment_id = %s",
            (reason, cause_event_id, treatment.tenant, treatment.treatment_id),
        )

    def record_attempt(self, tenant: str, attempt_id: str, debtor_id: str, attempt: PastAttempt) -> None:
        self.connection.execute(
            "insert into contact_attempt (tenant, attempt_id, debtor_id, contact_id, at, channel, outcome)"
            " values (%s, %s, %s, %s, %s, %s, %s)"
            " on conflict (tenant, attempt_id) do update set outcome = excluded.outcome"
            " where contact_attempt.outcome <> 'accepted'",
            (tenant, attempt_id, debtor_id, attempt.contact_id, attempt.at, attempt.channel, attempt.outcome),
        )

    def attempts(self, tenant: str, debtor_ids: Sequence[str], since: datetime) -> Mapping[str, Sequence[PastAttempt]]:
        rows = self.connection.execute(
            "select debtor_id, contact_id, at, channel, outcome from contact_attempt"
            " where tenant = %s and debtor_id = any(%s) and at >= %s order by debtor_id, at, attempt_id",
            (tenant, list(debtor_ids), since),
        ).fetchall()
        found: defaultdict[str, list[PastAttempt]] = defaultdict(list)
        for row in rows:
            found[row["debtor_id"]].append(attempt_of(row))
        return found
