"""The model's input for one debtor: a row per open invoice and day, and what `conclude` needs to read the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from duly_risk.book import Book, OpenInvoice, Terms, book_of
from duly_risk.curves import Grid, grid_for
from duly_risk.days import on_business_day
from duly_risk.features import N_FEATURES, N_STATIC, day_features, debtor_features, static_features
from duly_risk.model import FeatureFrame, Rows
from duly_risk.state import DebtorState


@dataclass(frozen=True, slots=True)
class CurveLayout:
    """Rows start..stop of the matrix are the curve of one open invoice.

    claimable_minor: open - disputed - its share of the unapplied cash.
    """

    terms: Terms
    claimable_minor: int
    start: int
    stop: int
    grid: Grid


@dataclass(frozen=True, slots=True)
class CurveRows:
    """matrix: (n, len(features.NAMES)) float32, C order; n = 0 for a debtor without open invoices."""

    matrix: Rows
    invoices: tuple[CurveLayout, ...]
    as_of_day: int
    book: Book


def plan_rows(state: DebtorState, frame: FeatureFrame) -> CurveRows:
    """The rows of a debtor as of the state's business day. frame: the serving model's (`model.info.frame`)."""
    book = book_of(state)
    claimable = claimable_minor(book)
    matrices: list[Rows] = []
    layouts: list[CurveLayout] = []
    start = 0
    shared = debtor_features(book, frame)
    for invoice in book.open:
        grid = grid_for(state.business_day, invoice.terms.due_day)
        static = static_features(book, invoice.terms, state.business_day, frame, shared)
        matrices.append(curve_matrix(static, invoice.terms, state.business_day, grid))
        stop = start + len(grid.offsets)
        layouts.append(CurveLayout(invoice.terms, claimable[invoice.terms.invoice_id], start, stop, grid))
        start = stop
    matrix = np.concatenate(matrices) if matrices else np.empty((0, N_FEATURES), dtype=np.float32)
    return CurveRows(matrix, tuple(layouts), state.business_day, book)


def curve_matrix(static: Sequence[float], terms: Terms, as_of_day: int, grid: Grid) -> Rows:
    """The rows of one curve: (len(grid.offsets), len(features.NAMES)) float32."""
    rows = np.empty((len(grid.offsets), N_FEATURES), dtype=np.float32)
    rows[:, :N_STATIC] = static
    due = on_business_day(terms.due_day)
    rows[:, N_STATIC:] = day_features(grid.offsets + as_of_day, as_of_day, terms.issue_day, due)
    return rows


def claimable_minor(book: Book) -> dict[str, int]:
    """Claimable by invoice: open - disputed, unapplied cash of the currency taken off the oldest due first."""
    rest = dict(book.unapplied)
    claimable: dict[str, int] = {}
    for invoice in sorted(book.open, key=_oldest_due):
        asked = invoice.open_minor - invoice.disputed_minor
        covered = min(asked, rest.get(invoice.terms.currency, 0))
        rest[invoice.terms.currency] = rest.get(invoice.terms.currency, 0) - covered
        claimable[invoice.terms.invoice_id] = asked - covered
    return claimable


def _oldest_due(invoice: OpenInvoice) -> tuple[int, str]:
    return invoice.terms.due_day, invoice.terms.invoice_id
