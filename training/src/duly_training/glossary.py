"""What the columns of the reports mean, a line each, for a person who decides and does not fit models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from duly_risk.book import LATE_DAYS

from duly_training.judged import RIPE_DAYS

# In the order in which they are explained. "late": paid 5 or more days after due, or open by then.
GLOSSARY = {
    "auc": "of a late and a punctual invoice, how often the late one got the higher probability: 0.5 = a coin, "
    "1 = always",
    "ap": "of the invoices taken for riskiest, the share that was late, averaged down to the last late one; a coin has "
    "the share of late invoices",
    "logloss": "how surprised the probabilities were by what happened, 0 = never; what the gate compares",
    "brier": "mean squared distance of the probability from what happened (0 or 1), 0 = none",
    "ece": "how far probabilities lie from what happened, over ten groups of like probability: 0.02 = two points of a "
    "hundred",
    "ece_by_chance": "the ece that a perfect model would show on so few invoices, by chance alone",
    "slope": "1 = probabilities are as spread as they should be; below 1 they are too extreme, above 1 too timid",
    "intercept": "0 = the level is right; above 0 more were late than was said, below 0 fewer",
    "capture": "share of all late invoices among the tenth with the highest probability",
    "capture_amount": "the same in money: share of the late amount",
    "gain in logloss": "the row's logloss less that of the fitted model: above 0, the fitted model is better",
    "mae_days": "days between the predicted and the actual day of payment, on average",
    "mae_late_days": "the same over late invoices alone",
    "p90_error_days": "nine of ten predictions miss by no more days than this",
    "within_3_days": "share of predictions that miss by three days or less",
    "coverage_days": "share of invoices paid inside the predicted 80 % interval: 0.8 = the interval is honest",
    "C on delay": "of two invoices, how often the one predicted to be later was later: 0.5 = a coin, 1 = always",
}
ROWS = {
    "hazard": "the fitted model, as it would have answered: it knew nothing of the judged invoices",
    "debtor_rate_curve": "the debtor's rate as the model that is registered: it sees how often the debtor was late, "
    "the days to or past due and the weekday, no more",
    "constant": "the share of late invoices of before, for everybody",
    "debtor_rate": "the share of the debtor's own invoices that were late",
    "logistic": "a logistic regression on the same features as the fitted model",
    "classifier": "boosted trees asked for late or not, without days: what daily curves cost or win",
    "days_due": "everybody pays on the due date",
    "days_median": "due date + the debtor's median delay",
    "days_ewm": "due date + the debtor's mean delay, newer invoices weighing more",
    "days_mean": "due date + the debtor's mean delay",
}


def glossary_lines(columns: Iterable[str], rows: Iterable[str] = ()) -> Iterator[str]:
    """The columns and rows that a report shows, as a Markdown section."""
    yield from ("## What the columns mean", "")
    late = f"Late = paid {LATE_DAYS} or more days after due, or still open then."
    yield f"{late} An invoice counts once it is due for {RIPE_DAYS} days."
    yield ""
    shown = set(columns)
    yield from (f"- **{name}**: {words}" for name, words in GLOSSARY.items() if name in shown)
    yield ""
    compared = set(rows)
    if compared:
        yield from ("## What is compared", "")
        yield from (f"- **{name}**: {words}" for name, words in ROWS.items() if name in compared)
        yield ""
