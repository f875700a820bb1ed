"""Work for people."""

from __future__ import annotations

from duly_contracts.envelope import Envelope

from duly.outreach.v1 import events_pb2 as pb
from outreach.application.outgoing import emit_caused
from outreach.application.ports import Unit
from outreach.domain.treatment import WorkItem


def create_work_item(item: WorkItem, cause: Envelope, unit: Unit) -> None:
    """Create it and say so, once."""
    if not unit.add_work_item(item):
        return
    message = pb.WorkItemCreated(
        work_item_id=item.work_item_id,
        debtor_id=item.debtor_id,
        kind=item.kind,
        treatment_id=item.treatment_id,
        reasons=item.reasons,
        due=item.due.isoformat() if item.due is not None else "",
    )
    emit_caused(unit, cause, item.debtor_id, message)
