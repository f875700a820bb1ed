"""What the reasons of dead letters mean, and what helps."""

from __future__ import annotations

from dataclasses import dataclass

_NEWER = "Deploy the version that knows it, then `duly dlq replay {place}`."
_BROKEN = (
    "If this version is at fault, deploy the fix, then `duly dlq replay {place}`. If the record itself is broken, let "
    'the source send the fact anew (a new id, a greater version), then `duly dlq dismiss {place} --because "..."`.'
)
_FAULT = "Fix the code at the place that `dlq_detail` names, deploy, then `duly dlq replay {place}`."


@dataclass(frozen=True, slots=True)
class Cause:
    """means: in plain words. help: what to do; `{place}` stands for the letter."""

    means: str
    help: str


_CAUSES = {
    "event_unknown": Cause("The type of this event, or its major version, is not known to the service.", _NEWER),
    "event_undecodable": Cause(
        "The bytes are not the message that the type promises, or hold an enum value that the service does not know.",
        "An enum value: " + _NEWER[0].lower() + _NEWER[1:] + " Otherwise: " + _BROKEN[0].lower() + _BROKEN[1:],
    ),
    "event_unusable": Cause(
        "The message can be read, but says something that no fold can use: a malformed date, an empty id, no currency, "
        "a date, an amount or a tick's slice beyond all bounds.",
        _BROKEN,
    ),
    "envelope_invalid": Cause(
        "The headers are not those of an event of ours: one is missing, malformed or too long, or the key names "
        "another tenant.",
        _BROKEN,
    ),
    "key_invalid": Cause(
        "The key is no text, or longer than any of ours, so that nobody can tell whose record this is.", _BROKEN
    ),
    "fold_failed": Cause("The debtor's state could not take this event: the fold raised an error.", _FAULT),
    "oversize": Cause(
        "With this event the debtor's state or score would be larger than a record may be.",
        "Find out why one debtor holds so much (test data, an account that stands for many). Raise the limit or "
        "shorten the state in the code, deploy, then `duly dlq replay {place}`.",
    ),
    "state_unreadable": Cause(
        "The stored state of the debtor could not be read: another format, or damaged.",
        "If another version of the service reads it, deploy that one, then `duly dlq replay {place}`. If the bytes are "
        "damaged, raise DULY_SCORING_APP_VERSION: it folds the whole log anew, this event with it; then "
        '`duly dlq dismiss {place} --because "folded by the full replay"`, which restores the debtor.',
    ),
    "scheme_unknown": Cause("The delivery is framed in a way that ledger-sync does not know.", _NEWER),
}
_UNKNOWN_REASON = Cause("The letter does not say why it is here: its own headers are damaged.", _BROKEN)
_RAISED = Cause("The service raised an error that nobody foresaw while it handled this record.", _FAULT)


def cause_of(reason: str) -> Cause:
    """Reasons that are no code of ours are names of exceptions."""
    return _CAUSES.get(reason, _RAISED if reason else _UNKNOWN_REASON)
