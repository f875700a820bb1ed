from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from duly_localstack.errors import StackError
from duly_localstack.ports import free_port, is_free
from duly_localstack.postgres import PostgresServer
from duly_localstack.process import descendants

pytestmark = pytest.mark.postgres
PASSWORD = "p@ss/word :1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    folder = tmp_path_factory.mktemp("postgres")
    made = PostgresServer(folder / "data", free_port(), folder / "logs" / "postgres.jsonl", PASSWORD)
    yield made
    made.stop()


def test_postgres_starts_answers_and_leaves_no_process(server: PostgresServer) -> None:
    server.start()
    with psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW max_connections").fetchone() == ("100",)
        assert connection.execute("SHOW server_version_num").fetchone()[0].startswith("18")  # type: ignore[index]
    assert server.pid is not None
    tree = [server.pid, *(process.pid for process in descendants(server.pid))]
    assert len(tree) > 3
    server.stop()
    assert not any(psutil.pid_exists(pid) for pid in tree)
    assert is_free(server.port)


def test_a_stop_does_not_wait_for_open_sessions(server: PostgresServer) -> None:
    server.start()
    connection = psycopg.connect(server.dsn(), autocommit=True)
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_what_was_committed_survives_a_kill(server: PostgresServer) -> None:
    server.start()
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    server.kill()
    server.start()
    with psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_stale_pid_file_that_names_another_living_process_is_no_obstacle(server: PostgresServer) -> None:
    server.start()
    server.kill()
    pid_file = server.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(psutil.Process().pid), *lines[1:]]) + "\n")
    server.start()
    assert server.is_ready()


def test_a_role_and_its_database_are_made_once_and_the_password_can_change(server: PostgresServer) -> None:
    server.start()
    server.create_role_and_database("ledger-sync", "one")
    dsn = server.create_role_and_database("ledger-sync", "it's two")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA inbox")
        assert connection.execute("SELECT current_user, current_database()").fetchone() == ("ledger-sync",) * 2
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.dsn("ledger-sync", "one"))


def test_a_role_cannot_enter_the_database_of_another(server: PostgresServer) -> None:
    server.start()
    server.create_role_and_database("one", "1")
    server.create_role_and_database("two", "2")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(server.dsn("one", "1", database="two"))


def test_another_superuser_password_is_told(server: PostgresServer) -> None:
    server.stop()
    other = PostgresServer(server.data_dir, free_port(), server.log_file, "another")
    with pytest.raises(StackError, match="another superuser password"):
        other.start()
    assert other.pid is None


def test_two_servers_on_one_folder_are_refused(server: PostgresServer) -> None:
    server.start()
    with pytest.raises(StackError, match=rf"process {server.pid}\) already uses"):
        PostgresServer(server.data_dir, free_port(), server.log_file, PASSWORD).start()


def test_a_port_in_use_is_told(tmp_path: Path, server: PostgresServer) -> None:
    server.stop()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StackError, match=rf"{port} \(PostgreSQL\)"):
            PostgresServer(server.data_dir, port, server.log_file, PASSWORD).start()
