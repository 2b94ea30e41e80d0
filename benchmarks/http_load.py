"""A load of HTTP requests over kept connections, lean, so that the server is what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class LoadResult:
    """Milliseconds of each request from when it was due, and how many did not answer as expected."""

    times_ms: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0

    def add(self, other: LoadResult) -> None:
        """Take up what was measured after this."""
        self.times_ms += other.times_ms
        self.errors += other.errors
        self.seconds += other.seconds

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the times, milliseconds."""
        return round(float(np.percentile(self.times_ms, percent)), 2)

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return round(len(self.times_ms) / self.seconds, 1) if self.seconds else 0.0


class _Connection(asyncio.Protocol):
    """One kept connection with one request at a time; answers need a Content-Length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._data = b""
        self._missing = -1
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer, once all of it is there; 0 for a connection that was closed."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._data, self._missing = b"", -1
        if self._transport.is_closing():
            self._answer.set_result(0)
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._data += data
            head, found, body = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            self._status = int(head[9:12])
            self._missing = _content_length(head)
            data = body
        self._missing -= len(data)
        if self._missing <= 0 and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._status)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    @property
    def closed(self) -> bool:
        """True once the server has let go of it, as servers do with one that is idle."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class HttpLoad:
    """A number of connections to one server; use it in an ``async with`` block."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._host, self._port, self._number = host, port, connections
        self._all: set[_Connection] = set()
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()

    async def __aenter__(self) -> HttpLoad:
        for _ in range(self._number):
            self._free.put_nowait(await self._connect())
        return self

    async def __aexit__(self, *error: object) -> None:
        for connection in self._all:
            connection.close()

    async def at_rate(
        self, requests: Iterator[bytes], per_second: float, seconds: float, expected: int
    ) -> LoadResult:
        """Send at a steady pace whatever the answers take; a request that waits for a connection is timed so too.

        So a server that stalls is seen to stall for every request that was due meanwhile.
        """
        loop, result = asyncio.get_running_loop(), LoadResult()
        began = loop.time()
        tasks: set[asyncio.Task[None]] = set()
        for number in range(int(per_second * seconds)):
            due = began + number / per_second
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._one(next(requests), due, expected, result))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        result.seconds = loop.time() - began
        return result

    async def as_fast_as_answered(self, requests: Iterator[bytes], seconds: float, expected: int) -> LoadResult:
        """Every connection sends the next request when it has the answer to the last: what the server can do."""
        loop, result = asyncio.get_running_loop(), LoadResult()
        began = loop.time()

        async def one_by_one() -> None:
            while loop.time() - began < seconds:
                await self._one(next(requests), loop.time(), expected, result)

        await asyncio.gather(*(one_by_one() for _ in range(self._number)))
        result.seconds = loop.time() - began
        return result

    async def _connect(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        self._all.add(connection)
        return connection

    async def _one(self, request: bytes, due: float, expected: int, result: LoadResult) -> None:
        connection = await self._free.get()
        try:
            if connection.closed:
                self._all.discard(connection)
                connection = await self._connect()
            status = await connection.ask(request)
        finally:
            self._free.put_nowait(connection)
        result.times_ms.append(1_000 * (asyncio.get_running_loop().time() - due))
        result.errors += status != expected


def get_request(host: str, path: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def post_request(host: str, path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def over_and_over(make: Callable[[int], bytes]) -> Iterator[bytes]:
    """Requests without end, by their number."""
    number = 0
    while True:
        yield make(number)
        number += 1
