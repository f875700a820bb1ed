"""The SMTP channel against a real server with the hard cases of real servers."""

from __future__ import annotations

import mailbox
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from duly_localstack.mailbox import Inbox, Maildir
from duly_policy import Channel
from duly_runtime.metrics import Metrics
from gateway.adapters.channels.smtp import SmtpChannel, SmtpServer
from gateway.bootstrap import compose
from gateway.domain.contact import Accepted, NotSent, Refused, Unknown

pytestmark = pytest.mark.postgres
SENDER = Address("Acme Supplies", addr_spec="receivables@acme.example")


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Controller]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Inbox(Maildir(tmp_path / "mail")), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop(no_assert=True)


@pytest.fixture
def smtp(inbox: Controller) -> Iterator[SmtpChannel]:
    channel = SmtpChannel(SmtpServer("127.0.0.1", inbox.port, tls="none", timeout_seconds=0.5), SENDER)
    yield channel
    channel.close()


@pytest.fixture
def handover(world):
    world.ready()
    world.ask()
    return world.gateway.dispatch.claim(world.gateway.dispatch.due(1)[0])


def mails(tmp_path: Path) -> list[EmailMessage]:
    box = mailbox.Maildir(tmp_path / "mail", factory=lambda file: BytesParser(policy=default).parse(file), create=False)
    return list(box)


def test_a_mail_carries_its_contact_and_can_be_opted_out_of(smtp, handover, tmp_path):
    assert isinstance(smtp.send(handover), Accepted)
    (mail,) = mails(tmp_path)
    assert mail["To"] == "D-1@debtors.example"
    assert mail["From"] == "Acme Supplies <receivables@acme.example>"
    assert mail["X-Contact-Id"] == "C-T-D-1"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe"] == "<mailto:receivables@acme.example?subject=STOP%20C-T-D-1>"
    assert mail["Date"].datetime == datetime(2031, 3, 4, 15, 0, tzinfo=UTC)
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "INV-D-1" in text
    assert "240.00 USD" in text
    assert "240.00 USD" in html


def test_one_connection_carries_several_mails_and_a_dead_one_is_replaced(smtp, inbox, handover, tmp_path):
    for _ in range(3):
        assert isinstance(smtp.send(handover), Accepted)
    assert len(smtp._idle) == 1
    smtp._loop.call_soon_threadsafe(smtp._idle[0].close)
    assert isinstance(smtp.send(handover), Accepted)
    assert len(mails(tmp_path)) == 4


def test_the_same_attempt_gives_the_same_bytes(handover):
    from gateway.adapters.channels.mail import build_mail

    assert build_mail(handover, SENDER) == build_mail(handover, SENDER)


@pytest.mark.parametrize(
    ("local_part", "outcome"),
    [
        ("nouser", Refused("550 5.1.1 No such mailbox", permanent=True)),
        ("greylist", Refused("451 4.7.1 Greylisted, try again later", permanent=False)),
        ("full", Refused("452 4.2.2 Mailbox full", permanent=False)),
        ("content", Refused("554 5.7.1 Refused for its content", permanent=True)),
    ],
)
def test_a_definite_answer_is_a_refusal(smtp, handover, tmp_path, local_part, outcome):
    assert smtp.send(replace(handover, address=f"{local_part}@debtors.example")) == outcome
    assert mails(tmp_path) == []
    assert isinstance(smtp.send(handover), Accepted)


def test_a_server_that_keeps_the_mail_and_falls_silent_makes_the_outcome_unknown(smtp, handover, tmp_path):
    assert isinstance(smtp.send(replace(handover, address="vanish@debtors.example")), Unknown)
    assert len(mails(tmp_path)) == 1


def test_no_server_means_not_sent(handover):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    channel = SmtpChannel(SmtpServer("127.0.0.1", port, tls="none", timeout_seconds=0.5), SENDER)
    assert isinstance(channel.send(handover), NotSent)
    channel.close()


def test_an_address_cannot_smuggle_a_command(smtp, handover, tmp_path):
    assert smtp.send(replace(handover, address="a@b.example>\r\nDATA")) == Refused("550 5.1.3 bad address syntax", True)
    assert mails(tmp_path) == []


def test_a_vanished_mail_is_in_the_box_once_and_the_contact_stays_unknown(world, smtp, tmp_path):
    world.gateway = compose(world.settings, world.clock, Metrics(), world.log, {Channel.EMAIL: smtp})
    world.debtor("D-1", address="vanish@debtors.example")
    world.invoice("D-1", "INV-D-1")
    world.tick("2031-03-04", datetime(2031, 3, 4, 15, 0, tzinfo=UTC))
    world.settle()
    world.ask()
    for _ in range(3):
        world.settle()
        world.clock.advance(120)
    world.restart()
    world.settle()
    assert world.state() == "UNKNOWN"
    assert len(mails(tmp_path)) == 1
    assert world.events() == ["contact.unknown"]
