from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from duly_localstack.errors import StackError
from duly_localstack.ports import free_port, is_free, require_free_ports, require_own_ports
from duly_localstack.preflight import check_all, check_disk, check_platform, check_python
from duly_localstack.process import listened_ports

pytestmark = pytest.mark.sockets


def test_free_ports_pass() -> None:
    require_free_ports({"Kafka": free_port()})


def test_every_busy_port_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = one.getsockname()[1], two.getsockname()[1]
        assert not is_free(first)
        with pytest.raises(StackError) as raised:
            require_free_ports({"Kafka": first, "free": free_port(), "PostgreSQL": second})
    text = str(raised.value)
    assert f"{first} (Kafka), {second} (PostgreSQL)" in text
    assert "--base-port" in text
    assert "(free)" not in text


def test_a_port_on_which_another_process_listens_is_named_and_ones_own_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in listened_ports(os.getpid())
        require_own_ports({"Kafka": port, "free": free_port()}, lambda: listened_ports(os.getpid()))
        with pytest.raises(StackError, match=rf"{port} \(Kafka\)"):
            require_own_ports({"Kafka": port, "free": free_port()}, set)


def test_a_port_that_ones_own_process_takes_while_it_is_asked_for_is_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        looks = iter([set(), {port}])
        require_own_ports({"Kafka": port}, lambda: next(looks))


def test_this_machine_passes_the_preflight(tmp_path: Path) -> None:
    check_all(tmp_path / "not" / "yet" / "there")


def test_an_old_python_is_told_in_one_sentence() -> None:
    with pytest.raises(StackError, match=r"needs Python 3\.11 or newer, but this is 3\.10\.4"):
        check_python((3, 10, 4))


def test_too_little_disk_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"GiB are free below .*state; the local stack needs 1048576\.0 GiB"):
        check_disk(tmp_path / "state", free_bytes_min=1024**5)


def test_an_unknown_platform_is_told_what_else_works() -> None:
    with pytest.raises(StackError, match=r"not on win32 AMD64.*Docker"):
        check_platform("win32", "AMD64")
