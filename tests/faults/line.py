"""A bad network: a TCP proxy on loopback that can go wrong in eight ways."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import StrEnum


class Trouble(StrEnum):
    """What the line does while it is bad."""

    NONE = "none"
    LATENCY = "latency"  # every piece is half a second late
    TIMEOUT = "timeout"  # nothing comes through, nor is anything said
    RESET = "reset"  # the connection is reset when a request begins
    HALF_CLOSE = "half-close"  # the request goes through, the answer's side is closed
    SLOW_BODY = "slow body"  # the answer dribbles
    TRUNCATED = "truncated body"  # the answer ends in its middle
    WRONG_TYPE = "wrong content type"  # the answer says that it is a page
    DOWN = "down"  # nobody listens


class Line:
    """Between a worker and one stand-in."""

    def __init__(self, target_port: int) -> None:
        """To a port of this machine."""
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.trouble = Trouble.NONE
        self.port = 0
        self.hits = 0  # pieces of requests and answers that the trouble has met

    async def start(self) -> None:
        """Listen; again on the same port after `DOWN`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up all connections and stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            _reset(writer)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def become(self, trouble: Trouble) -> None:
        """Go bad, or good again."""
        if trouble is Trouble.DOWN:
            await self.stop()
        elif self._server is None:
            await self.start()
        self.trouble = trouble

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connect_through(reader, writer)
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _connect_through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        there = asyncio.create_task(self._requests(reader, far_writer, writer))
        back = asyncio.create_task(self._answers(far_reader, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            far_writer.close()  # first: whoever stops the line may cancel the wait
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        far: asyncio.StreamWriter,
        near: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            self.hits += self.trouble is not Trouble.NONE
            if self.trouble is Trouble.RESET:
                _reset(near)
                return
            if self.trouble is Trouble.TIMEOUT:
                await asyncio.Event().wait()
            if self.trouble is Trouble.LATENCY:
                await asyncio.sleep(0.5)
            far.write(data)
            await far.drain()

    async def _answers(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.hits += self.trouble is not Trouble.NONE
            match self.trouble:
                case Trouble.TIMEOUT:
                    await asyncio.Event().wait()
                case Trouble.HALF_CLOSE:
                    near.write_eof()
                    await asyncio.Event().wait()
                case Trouble.TRUNCATED:
                    near.write(data[: len(data) * 2 // 3])
                    await near.drain()
                    return
                case Trouble.SLOW_BODY:
                    await _dribble(near, data)
                    continue
                case Trouble.WRONG_TYPE:
                    data = data.replace(b"application/json", b"text/html")
                case Trouble.LATENCY:
                    await asyncio.sleep(0.5)
            near.write(data)
            await near.drain()


async def _dribble(writer: asyncio.StreamWriter, data: bytes) -> None:
    """A tenth of it every fifth of a second."""
    size = max(1, len(data) // 10)
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await writer.drain()
        await asyncio.sleep(0.2)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    near: socket.socket | None = writer.get_extra_info("socket")
    if near is not None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
