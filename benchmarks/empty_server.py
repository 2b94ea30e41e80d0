"""An HTTP server that says the same to everything: what machine, loop and client take by themselves."""

from __future__ import annotations

import asyncio
import sys

from consumers.runtime.turns import take_short_turns

_BODY = b"{" + b" " * 7_998 + b"}"
"""As long as three shelves."""
_ANSWER = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)) + _BODY


class _Empty(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Empty, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    take_short_turns()
    asyncio.run(_serve(int(sys.argv[1])))
