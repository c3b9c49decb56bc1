"""The sockets of the way in: options that matter, and errors that say what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxy.ingress import sockets
from proxy.ingress.sockets import ListenError, close_all, open_backend_sockets, open_listener_sockets
from proxy.settings import Backend, IngressSettings, Listener, UdpSettings
from proxy.values import Endpoint
from tests.support.peers import free_port


def ingress(*addresses: str, receive_buffer: int = 65536) -> IngressSettings:
    return IngressSettings(
        listeners=tuple(Listener(address=Endpoint.parse(address)) for address in addresses),
        backends=(
            Backend(name="four", address=Endpoint.parse("127.0.0.1:53")),
            Backend(name="six", address=Endpoint.parse("[::1]:53")),
        ),
        udp=UdpSettings(receive_buffer=receive_buffer, backend_sockets=3),
    )


def test_every_worker_has_a_socket_for_each_door() -> None:
    port = free_port()
    opened = open_listener_sockets(ingress(f"127.0.0.1:{port}", f"[::1]:{port}"), 3)
    try:
        for worker in opened:
            assert [(item.listener, item.transport) for item in worker] == [
                (0, "udp"),
                (0, "tcp"),
                (1, "udp"),
                (1, "tcp"),
            ]
            for item in worker:
                assert item.socket.getsockname()[1] == port
                assert not item.socket.getblocking()
            udp = worker[0].socket
            assert udp.getsockopt(socket.IPPROTO_IP, sockets.IP_MTU_DISCOVER) == sockets.IP_PMTUDISC_OMIT
            assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 2 * 65536
            six = worker[2].socket
            assert six.getsockopt(socket.IPPROTO_IPV6, sockets.IPV6_MTU_DISCOVER) == sockets.IPV6_PMTUDISC_OMIT
            assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    finally:
        close_all(opened)


def test_an_address_in_use_is_named_with_what_to_do() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ListenError, match=rf"udp {address}: address in use.*ss -lntup"):
            open_listener_sockets(ingress(address), 2)


def test_an_address_of_nobody_is_named() -> None:
    with pytest.raises(ListenError, match="no interface of this machine has this address"):
        open_listener_sockets(ingress("192.0.2.77:5353"), 1)


def test_a_receive_buffer_is_what_the_kernel_grants() -> None:
    # Tests may run with the privilege to go over net.core.rmem_max; this socket has none.
    class Unprivileged(socket.socket):
        def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]  # only this form is used
            if option == sockets.SO_RCVBUFFORCE:
                raise PermissionError
            super().setsockopt(level, option, value)

    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with Unprivileged(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        sockets.set_receive_buffer(opened, most)
        assert sockets.receive_buffer(opened) == most
        sockets.set_receive_buffer(opened, 2 * most)
        assert sockets.receive_buffer(opened) == most


def test_sockets_towards_backends_of_both_families() -> None:
    opened = open_backend_sockets(ingress("127.0.0.1:0"))
    try:
        assert [item.family for item in opened] == [socket.AF_INET] * 3 + [socket.AF_INET6] * 3
        assert len({item.getsockname()[1] for item in opened}) == 6
        assert opened[0].getsockopt(socket.IPPROTO_IP, sockets.IP_RECVERR)
        assert opened[3].getsockopt(socket.IPPROTO_IPV6, sockets.IPV6_RECVERR)
    finally:
        for item in opened:
            item.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_gateway_gets_no_share_of_a_door(workers: int) -> None:
    settings = ingress(f"127.0.0.1:{free_port()}")
    opened = open_listener_sockets(settings, workers)
    try:
        with pytest.raises(ListenError, match="address in use"):
            open_listener_sockets(settings, workers)
        for item in [item for worker in opened for item in worker if item.transport == "udp"]:
            item.socket.close()
        with pytest.raises(ListenError, match=r"tcp .*address in use"):
            open_listener_sockets(settings, workers)
    finally:
        close_all(opened)
    close_all(open_listener_sockets(settings, workers))


def test_clients_are_spread_over_the_workers() -> None:
    opened = open_listener_sockets(ingress(f"127.0.0.1:{free_port()}"), 2)
    try:
        place = opened[0][0].socket.getsockname()
        for _ in range(64):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", place)
        for worker in opened:
            assert worker[0].socket.recv(1) == b"x"
    finally:
        close_all(opened)
