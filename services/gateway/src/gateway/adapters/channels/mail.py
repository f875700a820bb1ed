"""A contact as an e-mail. The same attempt gives the same bytes, whenever and wherever it is built."""

from __future__ import annotations

import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from gateway.application.ports import Handover

# 7bit-safe for every server; headers beyond ASCII are encoded words.
_POLICY = SMTP.clone(cte_type="7bit")


def build_mail(handover: Handover, sender: Address) -> bytes:
    """The message with CRLF line ends.

    Message-ID from the attempt id: a copy, should one ever arise, is recognised. Date: the policy instant of the claim.
    Auto-Submitted (RFC 3834) keeps autoresponders quiet; List-Unsubscribe by mail works like a reply STOP.
    """
    attempt, rendered = handover.attempt, handover.rendered
    digest = hashlib.sha256(attempt.attempt_id.encode()).hexdigest()[:32]
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = handover.address
    mail["Subject"] = rendered.subject
    mail["Date"] = format_datetime(attempt.at)
    mail["Message-ID"] = f"<{digest}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["List-Unsubscribe"] = f"<mailto:{sender.addr_spec}?subject=STOP%20{handover.contact.contact_id}>"
    mail["X-Contact-Id"] = handover.contact.contact_id
    mail.set_content(rendered.text, cte="quoted-printable")
    mail.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    mail.set_boundary(f"duly-{digest}")
    return mail.as_bytes()
