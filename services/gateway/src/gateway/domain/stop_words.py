"""Does a debtor's message mean "stop"? Asked before any model reads it.

Words: 47 CFR 64.1200(a)(10) (stop, unsubscribe, end, quit, cancel, revoke, opt out), "also outside our format". A false
alarm silences one debtor's reminders, a miss breaks the law: short messages that begin with a word count, and clear
phrases count anywhere. Quoted lines of our own mail (`> `) do not: our opt-out line names the word.
"""

from __future__ import annotations

import re

_WORDS = ("stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "opt out", "optout")
_SHORT_MESSAGE_WORDS_MAX = 4
_PHRASES = re.compile(
    r"\b(unsubscribe|opt(?:ing)? out|revoke (?:my )?consent"
    r"|(?:stop|quit|cease) (?:contacting|sending|writing|e?-?mailing|texting|calling|messaging)"
    r"|(?:do not|don t|never) (?:contact|write|e?-?mail|text|call|message) me)\b"
)


def means_stop(body: str) -> bool:
    """True for a stop word alone or at the head of a short message, or a clear phrase anywhere in the new text."""
    lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith(">")]
    if not lines:
        return False
    first = _words(lines[0])
    short = len(first.split()) <= _SHORT_MESSAGE_WORDS_MAX
    if short and any(first == word or first.startswith(f"{word} ") for word in _WORDS):
        return True
    return _PHRASES.search(_words(" ".join(lines))) is not None


def _words(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())
