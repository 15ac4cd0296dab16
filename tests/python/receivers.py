"""Receives notifications as real servers do: a webhook over HTTP, and a mail server over SMTP."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import functools
import http.server
import json
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage


@dataclass
class Request:
    """A request that a webhook has received, and when."""

    path: str
    key: str
    body: Any
    at: float = field(default_factory=time.time)


@dataclass
class Webhook:
    """A webhook. ``answer`` returns the status and the headers of the response to a request."""

    answer: Callable[[Request], tuple[int, dict[str, str]]] = lambda _: (200, {})
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    def url(self, path: str = "/hook", scheme: str = "http") -> str:
        """Returns a URL of the webhook."""
        return f"{scheme}://localhost:{self.port}{path}"

    def keys(self) -> list[str]:
        """Returns the idempotency keys of all requests, in their order."""
        return [request.key for request in self.requests]

    @contextlib.contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[Webhook]:
        """Serves inside the ``with`` block, with TLS if there is a context."""
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Content-Type"] == "application/json"
                request = Request(self.path, self.headers["Idempotency-Key"], body)
                webhook.requests.append(request)
                status, headers = webhook.answer(request)
                # The client may have gone meanwhile.
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": "0"}.items():
                        self.send_header(name, value)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        with _serving(server, tls):
            yield self


@dataclass
class MailServer:
    """A mail server. ``refusals`` is how many e-mails it refuses for now, with status 451.

    With ``starttls`` it offers STARTTLS, which it refuses with ``has_lost_tls``. It takes a password without TLS, too.
    ``plain`` has the lines that came without TLS.
    """

    refusals: int = 0
    starttls: ssl.SSLContext | None = None
    has_lost_tls: bool = False
    plain: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    refused: list[EmailMessage] = field(default_factory=list)
    port: int = 0

    @contextlib.contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
        """Serves inside the ``with`` block, with TLS from the start if there is a context."""
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), functools.partial(_Conversation, self))
        self.port = server.server_address[1]
        with _serving(server, tls):
            yield self

    def take(self, data: bytes) -> str:
        """Takes an e-mail, and returns the answer."""
        mail = email.message_from_bytes(data, policy=email.policy.default)
        if self.refusals > 0:
            self.refusals -= 1
            self.refused.append(mail)
            return "451 later"
        self.mails.append(mail)
        return "250 ok"


class _Conversation(socketserver.StreamRequestHandler):
    """A client's conversation with a mail server."""

    def __init__(self, receiver: MailServer, *arguments: Any) -> None:  # noqa: ANN401
        self.receiver = receiver
        super().__init__(*arguments)

    def finish(self) -> None:
        super().finish()
        # After STARTTLS, the server does not know this socket.
        self.request.close()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def read(self) -> bytes:
        line = self.rfile.readline()
        if line and not isinstance(self.connection, ssl.SSLSocket):
            self.receiver.plain.append(line.decode().strip())
        return line

    def handle(self) -> None:
        self.say("220 test")
        while line := self.read().decode().strip():
            verb = line.split(maxsplit=1)[0].upper()
            if verb == "QUIT":
                self.say("221 bye")
                return
            if verb == "STARTTLS":
                self.start_tls()
                continue
            if verb == "AUTH":
                _, user, password = base64.b64decode(line.split()[-1]).decode().split("\0")
                self.receiver.logins.append((user, password))
            self.say({"EHLO": self.greeting(), "AUTH": "235 ok", "DATA": "354 go on"}.get(verb, "250 ok"))
            if verb == "DATA":
                self.say(self.receiver.take(self.data()))

    def greeting(self) -> str:
        has_tls = self.receiver.starttls is None or isinstance(self.connection, ssl.SSLSocket)
        return "250-test\r\n" + ("" if has_tls else "250-STARTTLS\r\n") + "250 AUTH PLAIN"

    def start_tls(self) -> None:
        if self.receiver.starttls is None or self.receiver.has_lost_tls:
            self.say("454 TLS is unavailable")
            return
        self.say("220 go on")
        self.request = self.receiver.starttls.wrap_socket(self.connection, server_side=True)
        self.setup()

    def data(self) -> bytes:
        lines = []
        while (line := self.read()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)


@contextlib.contextmanager
def _serving(server: socketserver.TCPServer, tls: ssl.SSLContext | None) -> Iterator[None]:
    if tls is not None:
        # The handshake is left to the thread of a connection.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    # A client that does not trust the certificate breaks the connection off.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    # Handlers that hang must not hold up the end of a test.
    if isinstance(server, socketserver.ThreadingMixIn):
        server.daemon_threads = True
        server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
