"""Provides TCP proxies for a service: one that is slow, one that cuts at a COMMIT, and one with faults on demand."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from typing import Self

    import psutil

SSL_REQUEST = struct.pack("!i", 80877103)
COMMIT = b"Q\0\0\0\x0bCOMMIT\0"
"""The protocol message that requests a COMMIT."""


def _read(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


class Proxy:
    """Forwards every connection to a service.

    Args:
        url: the service's URL, with a port on this machine.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        # A small receive buffer leaves data that was not forwarded yet with the client.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops accepting connections."""
        # While a thread waits in accept(), a closed socket still takes one more connection, unless it is shut down.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def port(self) -> int:
        """The port on which the proxy listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The database's URL through this proxy."""
        place = f"{self._target.username}:{self._target.password}@127.0.0.1:{self.port}"
        return self._target._replace(netloc=place).geturl()

    def _accept(self) -> None:
        # A client that disconnects before it is accepted must not end the loop.
        while self._listener.fileno() >= 0:
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            # A suspended service does not answer.
            server = socket.create_connection(("127.0.0.1", self._target.port or 5432), timeout=10)
            for stream in (client, server):
                stream.settimeout(None)
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            # The service is unavailable, so this connection ends.
            client.close()
            return
        muted = threading.Event()
        for work in (self.to_server, self.to_client):
            threading.Thread(target=self._work, args=(work, client, server, muted), daemon=True).start()

    @staticmethod
    def _work(work: object, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            work(client, server, muted)  # type: ignore[operator]
        if not (muted.is_set() and work.__name__ == "to_server"):  # type: ignore[attr-defined]
            for stream in (client, server):
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
                stream.close()

    def to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        """Forwards what the client sends. With ``muted`` set, the connection ends at the next answer."""
        raise NotImplementedError

    def to_client(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        """Forwards what PostgreSQL sends, until ``muted`` is set."""
        while (data := server.recv(1 << 16)) and not muted.is_set():
            client.sendall(data)


class Slow(Proxy):
    """Forwards a limited number of bytes a second to PostgreSQL.

    Args:
        url: the database's URL, on this machine.
        rate: the number of bytes a second.
    """

    def __init__(self, url: str, rate: int) -> None:
        super().__init__(url)
        self._rate = rate

    def to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:  # noqa: ARG002
        """Forwards slowly."""
        while data := client.recv(1 << 14):
            server.sendall(data)
            time.sleep(len(data) / self._rate)


class CommitCutter(Proxy):
    """Cuts connections at three of ten COMMITs: half of them before PostgreSQL receives the COMMIT, half after.

    The fates of the COMMITs come from a shuffled deck, so that each twenty have three cuts of each kind.

    Args:
        url: the database's URL, on this machine.
        chance: the random generator.

    Attributes:
        before: the number of COMMITs that were cut before PostgreSQL received them.
        after: the number of COMMITs that PostgreSQL executed and whose answer was cut.
    """

    DECK = ("before",) * 3 + ("after",) * 3 + ("whole",) * 14

    def __init__(self, url: str, chance: random.Random) -> None:
        super().__init__(url)
        self._chance = chance
        self._deck: list[str] = []
        self._dealing = threading.Lock()
        self.before = self.after = 0

    def _deal(self) -> str:
        with self._dealing:
            self._deck = self._deck or self._chance.sample(self.DECK, len(self.DECK))
            fate = self._deck.pop()
            self.before += fate == "before"
            self.after += fate == "after"
            return fate

    def to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        """Forwards message by message, and cuts at a COMMIT."""
        is_starting = True
        while True:
            kind = b"" if is_starting else _read(client, 1)
            length = _read(client, 4)
            body = _read(client, struct.unpack("!i", length)[0] - 4)
            if is_starting:
                is_starting = body[:4] == SSL_REQUEST
            message = kind + length + body
            fate = self._deal() if message == COMMIT else "whole"
            if fate == "before":
                return
            if fate == "after":
                muted.set()
            server.sendall(message)
            if muted.is_set():
                return


class Link(Proxy):
    """Forwards both ways, and can stall, slow down or cut its connections on demand.

    Args:
        url: the service's URL, on this machine.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._open = threading.Event()
        self._open.set()
        self._delay = 0.0
        self._answering = threading.Event()
        self._answering.set()
        self._halve = threading.Event()
        self._silence = threading.Event()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()

    def stall(self, seconds: float) -> None:
        """Holds all data back for a number of seconds, then forwards it."""
        self._open.clear()
        time.sleep(seconds)
        self._open.set()

    def slow(self, seconds: float, delay: float) -> None:
        """Delays each piece of data, for a number of seconds."""
        self._delay = delay
        time.sleep(seconds)
        self._delay = 0.0

    def cut(self) -> None:
        """Resets every connection and drops the data in transit."""
        for pair in list(self._pairs):
            for stream in pair:
                with contextlib.suppress(OSError):
                    # With a linger time of 0, closing sends a reset instead of an orderly end.
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    stream.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def unanswered(self) -> Iterator[None]:
        """Forwards requests but no answers inside the ``with`` block. At its end it cuts the connections."""
        self._answering.clear()
        try:
            yield
        finally:
            self.cut()
            self._answering.set()

    def halve(self) -> bool:
        """Cuts a connection in the middle of its next large piece; returns whether one came within 5 seconds."""
        return self._await(self._halve)

    def silence(self) -> bool:
        """Forwards the next COMMIT and cuts before its answer; returns whether one came within 5 seconds."""
        return self._await(self._silence)

    def ports_of(self, process: psutil.Process) -> list[int]:
        """Returns the ports of a client's connections, as the service sees them."""
        own = {connection.laddr.port for connection in process.net_connections("tcp")}
        return [server.getsockname()[1] for client, server in list(self._pairs) if client.getpeername()[1] in own]

    @staticmethod
    def _await(wish: threading.Event) -> bool:
        wish.set()
        until = time.monotonic() + 5
        while wish.is_set() and time.monotonic() < until:
            time.sleep(0.01)
        came = not wish.is_set()
        wish.clear()
        return came

    def to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        """Forwards what the client sends."""
        self._forward(client, server, muted, asks=True)

    def to_client(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        """Forwards what the service sends, until ``muted`` is set."""
        self._forward(server, client, muted, asks=False)

    def _forward(self, source: socket.socket, target: socket.socket, muted: threading.Event, *, asks: bool) -> None:
        pair = (source, target)
        self._pairs.add(pair)
        try:
            while data := source.recv(1 << 16):
                self._open.wait()
                if not asks:
                    self._answering.wait()
                if self._delay:
                    time.sleep(self._delay)
                if muted.is_set():
                    return
                # Only requests count, because PostgreSQL's answer also contains COMMIT.
                if asks and COMMIT in data and self._silence.is_set():
                    self._silence.clear()
                    muted.set()
                    target.sendall(data)
                    return
                if len(data) > 64 and self._halve.is_set():
                    self._halve.clear()
                    target.sendall(data[: len(data) // 2])
                    return
                target.sendall(data)
        finally:
            self._pairs.discard(pair)
