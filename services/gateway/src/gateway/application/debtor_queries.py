"""GetDebtor and GetTimeline: the read models of insights, seen through the gateway."""

from __future__ import annotations

from typing import Protocol

from duly.gateway.v1 import debtor_service_pb2 as pb
from duly.insights.v1 import debtor_query_service_pb2 as insights
from gateway.application import validation as check


class DebtorQueries(Protocol):
    """insights. authorization: the caller's own `Bearer ...`. Raises DebtorNotFound, QueriesUnavailable."""

    def query_debtor(self, request: insights.QueryDebtorRequest, authorization: str) -> insights.QueryDebtorResponse:
        """One debtor's view."""
        ...

    def query_timeline(
        self, request: insights.QueryTimelineRequest, authorization: str
    ) -> insights.QueryTimelineResponse:
        """A page of one debtor's story."""
        ...


class ShowDebtor:
    def __init__(self, queries: DebtorQueries) -> None:
        self._queries = queries

    def get(self, request: pb.GetDebtorRequest, authorization: str) -> pb.GetDebtorResponse:
        tenant = check.required_text("tenant_id", request.tenant_id)
        debtor_id = check.required_text("debtor_id", request.debtor_id)
        found = self._queries.query_debtor(
            insights.QueryDebtorRequest(tenant_id=tenant, debtor_id=debtor_id), authorization
        )
        return pb.GetDebtorResponse(debtor=found.debtor)

    def timeline(self, request: pb.GetTimelineRequest, authorization: str) -> pb.GetTimelineResponse:
        found = self._queries.query_timeline(
            insights.QueryTimelineRequest(
                tenant_id=check.required_text("tenant_id", request.tenant_id),
                debtor_id=check.required_text("debtor_id", request.debtor_id),
                page_size=check.page_size(request.page_size),
                page_token=request.page_token,
            ),
            authorization,
        )
        return pb.GetTimelineResponse(entries=found.entries, next_page_token=found.next_page_token)
