"""The barrier's readings against a real admin server and a real log."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from duly_contracts.events import event_of
from duly_contracts.keys import debtor_key
from duly_simulator.observe import HttpStatusReader, KafkaEndReader
from duly_simulator.settle import ServiceStatus, waited_topics
from kafka import KafkaProducer

from duly.ledger.v1 import events_pb2 as pb


class _Admin(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.sockets
def test_a_status_is_read_and_a_missing_or_odd_one_is_none() -> None:
    good = type("Good", (_Admin,), {"body": json.dumps({
        "service": "scoring", "positions": {"ledger-events": {"3": 17}}, "outbox": 1, "work": 2, "clock": None,
    }).encode()})  # fmt: skip
    odd = type("Odd", (_Admin,), {"body": b'{"positions": []}'})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (good, odd)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = [server.server_address[1] for server in servers]
    closed = ThreadingHTTPServer(("127.0.0.1", 0), _Admin)
    closed.server_close()
    addresses = {"scoring": ports[0], "outreach": ports[1], "gateway": closed.server_address[1]}
    reader = HttpStatusReader({name: f"http://127.0.0.1:{port}" for name, port in addresses.items()})
    try:
        assert reader.read() == {
            "scoring": ServiceStatus({"ledger-events": {3: 17}}, outbox=1, work=2),
            "outreach": None,
            "gateway": None,
        }
    finally:
        reader.close()
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.mark.kafka
def test_end_offsets_of_every_waited_topic_are_read(kafka_bootstrap: str) -> None:
    key = debtor_key("demo", "D1")
    topic = event_of(pb.PartyUpserted()).topic
    producer = KafkaProducer(bootstrap_servers=kafka_bootstrap)
    where = producer.send(topic, key=key, value=b"x").get(timeout=10)
    producer.close()
    reader = KafkaEndReader(kafka_bootstrap)
    try:
        ends = reader.read()
    finally:
        reader.close()
    assert ends is not None
    assert set(ends) == set(waited_topics())
    assert ends[topic][where.partition] == 1
    assert sum(end for partitions in ends.values() for end in partitions.values()) == 1
