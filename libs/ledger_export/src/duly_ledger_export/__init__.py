"""Reader of the ledger export format: a directory to canonical facts in known order."""

from duly_ledger_export.facts import DatedFact, FactFactory, Moment
from duly_ledger_export.findings import Finding, LedgerInvalid
from duly_ledger_export.ledger import Ledger, LedgerEmpty
from duly_ledger_export.reader import read_ledger
from duly_ledger_export.records import LedgerRecords, LedgerSettings
from duly_ledger_export.writer import write_ledger

__all__ = [
    "DatedFact",
    "FactFactory",
    "Finding",
    "Ledger",
    "LedgerEmpty",
    "LedgerInvalid",
    "LedgerRecords",
    "LedgerSettings",
    "Moment",
    "read_ledger",
    "write_ledger",
]
