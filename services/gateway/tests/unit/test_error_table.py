"""Every error a caller can meet has its row."""

from __future__ import annotations

import inspect

import grpc
from duly_policy import InvalidGateInput
from gateway.application import errors
from gateway.entrypoints.errors import ERRORS, fault_of, problem_of, status_of


def test_every_error_class_of_the_use_cases_has_a_row_and_a_code():
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert classes
    for found in classes:
        assert found in ERRORS
        assert found.code


def test_retryable_errors_are_those_that_may_pass():
    for answer in ERRORS.values():
        assert answer.retryable == (answer.http == 503)
        assert answer.retryable == (answer.status is grpc.StatusCode.UNAVAILABLE)


def test_a_malformed_field_is_named_on_both_edges():
    fault = fault_of(errors.InvalidRequest("channel", "is required"))
    assert problem_of(fault)["field"] == "channel"
    assert any("BadRequest" in detail.type_url for detail in status_of(fault).details)


def test_the_database_tells_callers_nothing_of_itself():
    import psycopg

    fault = fault_of(psycopg.OperationalError("host=10.0.0.7 refused"))
    assert "10.0.0.7" not in str(problem_of(fault))
    assert InvalidGateInput not in ERRORS
