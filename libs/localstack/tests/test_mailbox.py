from __future__ import annotations

import mailbox
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from duly_localstack.errors import StackError
from duly_localstack.mailbox import MAIL_BYTES_MAX, Maildir
from duly_localstack.mailbox_server import MailboxServer
from duly_localstack.ports import free_port

pytestmark = pytest.mark.sockets
MAIL = "Subject: Reminder\r\n\r\n240.00 EUR are due.\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailboxServer]:
    folder = tmp_path_factory.mktemp("mailbox")
    yield (made := MailboxServer(folder / "mail", free_port(), folder / "mailbox.jsonl"))
    made.stop()


@pytest.fixture
def smtp(server: MailboxServer) -> Iterator[smtplib.SMTP]:
    server.start()
    with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        yield client


def mails_to(server: MailboxServer, recipient: str) -> list[mailbox.MaildirMessage]:
    inbox = mailbox.Maildir(server.maildir, create=False)
    return [mail for mail in inbox if recipient in (mail.get_all("Delivered-To") or [])]


def test_a_mail_arrives_in_the_maildir_with_its_envelope(server: MailboxServer, smtp: smtplib.SMTP) -> None:
    refused = smtp.sendmail("billing@example.test", ["anna@example.test", "bo@example.test"], MAIL)
    assert refused == {}
    (mail,) = mails_to(server, "anna@example.test")
    assert mail["Subject"] == "Reminder"
    assert mail["Return-Path"] == "<billing@example.test>"
    assert mail.get_all("Delivered-To") == ["anna@example.test", "bo@example.test"]
    assert "240.00 EUR" in str(mail.get_payload())


@pytest.mark.parametrize(
    ("recipient", "code", "text"),
    [
        ("nouser@example.test", 550, b"5.1.1"),
        ("NoUser+tag@example.test", 550, b"5.1.1"),
        ("greylist@example.test", 451, b"4.7.1"),
        ("full@example.test", 452, b"4.2.2"),
    ],
)
def test_special_recipients_are_refused_at_once(
    server: MailboxServer, smtp: smtplib.SMTP, recipient: str, code: int, text: bytes
) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as raised:
        smtp.sendmail("billing@example.test", [recipient], MAIL)
    got_code, got_text = raised.value.recipients[recipient]
    assert (got_code, got_text[:5]) == (code, text)
    assert mails_to(server, recipient) == []


def test_the_recipient_content_refuses_after_data(server: MailboxServer, smtp: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPDataError) as raised:
        smtp.sendmail("billing@example.test", ["content@example.test"], MAIL)
    assert (raised.value.smtp_code, bytes(raised.value.smtp_error)[:5]) == (554, b"5.7.1")
    assert mails_to(server, "content@example.test") == []


def test_the_recipient_vanish_keeps_the_mail_but_never_answers(server: MailboxServer, smtp: smtplib.SMTP) -> None:
    assert smtp.sock is not None
    smtp.sock.settimeout(0.5)
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        smtp.sendmail("billing@example.test", ["vanish@example.test"], MAIL)
    assert len(mails_to(server, "vanish@example.test")) == 1


def test_a_mail_beyond_the_limit_is_refused(smtp: smtplib.SMTP) -> None:
    with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as raised:
        smtp.sendmail("billing@example.test", ["anna@example.test"], MAIL + "x" * MAIL_BYTES_MAX)
    assert raised.value.smtp_code == 552


def test_it_ends_cleanly_even_while_a_sender_hangs(server: MailboxServer, eventually: Callable[..., None]) -> None:
    server.start()
    with smtplib.SMTP("127.0.0.1", server.port, timeout=0.3) as client:
        with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
            client.sendmail("billing@example.test", ["vanish@example.test"], MAIL)
        server.stop()
        client.close()
    assert server.log_file.read_text() == ""
    server.start()
    assert server.is_ready()


def test_half_a_mail_left_by_a_kill_is_cleared_at_the_next_start(tmp_path: Path) -> None:
    first = Maildir(tmp_path / "mail")
    (tmp_path / "mail" / "tmp" / "half").write_bytes(b"Subj")
    first.deliver(b"Subject: whole\r\n\r\n")
    Maildir(tmp_path / "mail")
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError, match="mailbox cannot use its folder"):
        MailboxServer(tmp_path / "file" / "inbox" / "mail", free_port(), tmp_path / "log").start()


def test_a_full_inbox_takes_no_more(tmp_path: Path) -> None:
    inbox = Maildir(tmp_path / "mail", mails_max=1)
    inbox.deliver(b"one")
    with pytest.raises(OSError, match="1 mails are kept already"):
        inbox.deliver(b"two")
