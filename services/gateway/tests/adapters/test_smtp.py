"""The SMTP channel against a real server with the hard cases of real servers."""

from __future__ import annotations

import asyncio
import mailbox
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from duly_localstack.mailbox import Inbox, Maildir
from duly_policy import Channel
from duly_runtime.metrics import Metrics
from gateway.adapters.channels.smtp import SmtpChannel, SmtpServer
from gateway.bootstrap import compose
from gateway.domain.contact import Accepted, NotSent, Refused, Unknown

pytestmark = pytest.mark.postgres
BAD_ADDRESS = Refused("550 5.1.3 bad address syntax", permanent=True)
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


class Replying:
    """Takes every mail and says `reply` to it."""

    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.taken = 0

    async def handle_DATA(self, server: SMTP, session: object, envelope: object) -> str:
        self.taken += 1
        return self.reply


@contextmanager
def serving(handler: Replying, kind: type[SMTP] = SMTP) -> Iterator[int]:
    class Server(Controller):
        def factory(self) -> SMTP:
            return kind(self.handler, hostname="127.0.0.1")

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Server(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop(no_assert=True)


def server_at(port: int) -> SmtpServer:
    return SmtpServer("127.0.0.1", port, tls="none", timeout_seconds=0.5)


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
        ("nouser", Refused("550 5.1.1", permanent=True)),
        ("greylist", Refused("451 4.7.1", permanent=False)),
        ("full", Refused("452 4.2.2", permanent=False)),
        ("content", Refused("554 5.7.1", permanent=True)),
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


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "@", "a@", "@b.example", "a@@b.example", "a@[", "a b@c", "a@b.example>\r\nDATA", "a@b.example\x00",
        "müller@example.de", "a@münchen.de", '"a@x.de, b@y.de"', "a@x.de,b@y.de", "A <a@b.example>", "<a@b.example>",
        "team:a@b.example;", "=?utf-8?q?x?=@b.example", " a@b.example", "a@b.example\t",
    ],
)  # fmt: skip
def test_what_is_not_one_bare_address_is_refused_without_a_connection(handover, address):
    nobody_listens = SmtpServer("127.0.0.1", 1, tls="none", timeout_seconds=0.5)
    with closing(SmtpChannel(nobody_listens, SENDER)) as channel:
        assert channel.send(replace(handover, address=address)) == BAD_ADDRESS


def test_a_mail_that_cannot_be_built_is_refused_and_its_address_stays_good(handover):
    nobody_listens = SmtpServer("127.0.0.1", 1, tls="none", timeout_seconds=0.5)
    broken = replace(handover, contact=replace(handover.contact, contact_id="C\r\nBcc: all@b.example"))
    with closing(SmtpChannel(nobody_listens, SENDER)) as channel:
        assert channel.send(broken) == Refused("554 5.6.0 the mail cannot be built", permanent=True)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("251 ok, will forward", Accepted("251")),
        ("252 2.5.0 D-1@debtors.example taken", Accepted("252 2.5.0")),
        ("452 4.3.1 D-1@debtors.example not now", Refused("452 4.3.1", permanent=False)),
        ("599 no", Refused("599", permanent=True)),
        ("what did you say", Unknown("data: reply -1")),
        ("150 go on", Unknown("data: reply 150")),
        ("354 more", Unknown("data: reply 354")),
        ("600 no", Unknown("data: reply 600")),
    ],
)
def test_the_last_reply_decides_and_only_a_yes_leaves_a_connection_behind(handover, reply, outcome):
    with serving(Replying(reply)) as port, closing(SmtpChannel(server_at(port), SENDER)) as channel:
        assert channel.send(handover) == outcome
        assert channel._idle == []


def test_a_yes_to_the_command_itself_is_no_yes_to_the_content(handover):
    class Confused(SMTP):
        async def smtp_DATA(self, arg):
            await self.push("250 ok")

    with serving(Replying(""), Confused) as port, closing(SmtpChannel(server_at(port), SENDER)) as channel:
        assert channel.send(handover) == Unknown("data: reply 250")


def test_a_garbled_reply_before_the_content_is_not_sent_and_the_connection_is_given_up(handover):
    class Confused(SMTP):
        async def smtp_RCPT(self, arg):
            await self.push("what did you say")

    with serving(Replying("250 ok"), Confused) as port, closing(SmtpChannel(server_at(port), SENDER)) as channel:
        assert channel.send(handover) == NotSent("envelope: reply -1")
        assert channel._idle == []


def test_a_connection_on_which_the_unforeseen_happened_is_given_up(handover, monkeypatch):
    async def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(aiosmtplib.SMTP, "data", fail)
    with serving(Replying("250 ok")) as port, closing(SmtpChannel(server_at(port), SENDER)) as channel:
        with pytest.raises(RuntimeError):
            channel.send(handover)
        assert channel._idle == []


@pytest.mark.parametrize(("reply", "state"), [("251 ok", "ACCEPTED"), ("garbage", "UNKNOWN")])
def test_an_odd_reply_after_the_content_never_sends_twice(world, reply, state):
    handler = Replying(reply)
    with serving(handler) as port:
        channel = SmtpChannel(server_at(port), SENDER)  # the world closes it
        world.gateway = compose(world.settings, world.clock, Metrics(), world.log, {Channel.EMAIL: channel})
        world.ready()
        world.ask()
        for _ in range(6):
            world.settle()
            world.clock.advance(61)
        assert (world.state(), handler.taken) == (state, 1)


def test_a_wait_for_a_free_connection_is_bounded_and_sends_nothing(handover, inbox, tmp_path):
    server = replace(server_at(inbox.port), connections_max=1)
    with closing(SmtpChannel(server, SENDER)) as channel, ThreadPoolExecutor(1) as pool:
        asyncio.run_coroutine_threadsafe(channel._slots.acquire(), channel._loop).result(5)
        assert pool.submit(channel.send, handover).result(10) == NotSent("connect: TimeoutError")
        channel._loop.call_soon_threadsafe(channel._slots.release)
        assert isinstance(channel.send(handover), Accepted)
    assert len(mails(tmp_path)) == 1


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
