"""What callers can get wrong. Each has a stable `code`; `entrypoints/errors.py` maps it to a status."""

from __future__ import annotations


class InvalidRequest(ValueError):
    """A field is missing or malformed."""

    code = "invalid_request"

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(f"{field}: {fault}")
        self.field = field
        self.fault = fault


class KeyReused(ValueError):
    """The idempotency key was used for another request."""

    code = "idempotency_key_reused"


class ContactNotFound(LookupError):
    """No such contact here; the same answer for another tenant's id."""

    code = "contact_not_found"


class DebtorNotFound(LookupError):
    """No such debtor here (or its party fact has not arrived yet); the same answer for another tenant's id."""

    code = "debtor_not_found"


class ContactExists(ValueError):
    """The treatment has its contact already, or the contact id is taken: a contact is unique per treatment."""

    code = "contact_exists"


class QueriesUnavailable(RuntimeError):
    """insights does not answer."""

    code = "queries_unavailable"
