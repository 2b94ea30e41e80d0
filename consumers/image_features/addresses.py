"""Which hosts the fetcher may connect to, decided on the address that the connection really goes to.

A catalogue names the addresses that this stage fetches, so whoever writes into it could make the stage read
from the inside of the shop's network (server-side request forgery, OWASP A10:2021). The check therefore sits
where the socket is opened: after name resolution, and again for every redirect.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from consumers.image_features.errors import ImageAddressError, ImageUnreachableError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """True for an address on the public internet; an IPv4 address inside an IPv6 one is looked at as itself."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


class Deadline:
    """When the download that runs on this thread has to be over, however slowly the server drips."""

    def __init__(self) -> None:
        self._local = threading.local()

    def start(self, seconds: float) -> None:
        """Start the clock of this thread's download."""
        self._local.at = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """The timeout in seconds, cut to what is left; raises ``httpcore.ReadTimeout`` when nothing is."""
        left = float(self._local.at) - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the download took too long in all")
        return left if timeout is None else min(timeout, left)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens sockets to public addresses and to hosts that the shop allowed, and to nothing else."""

    def __init__(self, *, allow_private: bool, allowed_hosts: Iterable[str], deadline: Deadline) -> None:
        self._allow_private = allow_private
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, and connect to what was checked; the first address that answers is taken."""
        failure: Exception | None = None
        for address in self._checked(host, port):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, self._deadline.left(timeout), local_address, socket_options
                )
                return _Stream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise ImageUnreachableError(f"the host {host} is not known ({error}); check the image_url") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if self._allow_private or host.lower() in self._allowed_hosts:
            return addresses
        if not all(is_public(address) for address in addresses):
            raise ImageAddressError(
                f"{host} is on a private network; add it to allowed_hosts if pictures are meant to come from there"
            )
        return addresses


class _Stream(httpcore.NetworkStream):
    """A socket whose reads and writes keep to the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
