"""Tests that e-mails are sent with STARTTLS, and that a password is never sent without TLS."""

from __future__ import annotations

import base64
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from certificates import Authority, missing_openssl, self_signed
from conftest import leave_out
from receivers import MailServer
from test_alerts import RULE
from test_notify import large, target
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline import Pipeline

SECRET = "a secret"


def test_a_password_is_sent_only_after_starttls(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    if missing := missing_openssl():
        leave_out("tls", f"it needs {missing}")
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    authority = Authority(tmp_path)
    right, other_name, unknown = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(3))
    right.load_cert_chain(*authority.sign("right", "localhost"))
    other_name.load_cert_chain(*authority.sign("elsewhere", "elsewhere.example"))
    unknown.load_cert_chain(*self_signed(tmp_path, "unknown", "localhost"))
    servers = {
        "right": MailServer(starttls=right),
        "other_name": MailServer(starttls=other_name),
        "unknown": MailServer(starttls=unknown),
        "lost": MailServer(starttls=right, has_lost_tls=True),
        "none": MailServer(),
        # Without a password, TLS is used if it is offered, and its certificate is checked.
        "open_right": MailServer(starttls=right),
        "open_unknown": MailServer(starttls=unknown),
    }
    good, bad = {"right", "open_right"}, {"other_name", "unknown", "lost", "none", "open_unknown"}
    with contextlib.ExitStack() as stack:
        targets = []
        for name, server in servers.items():
            stack.enter_context(server.serving())
            at = f"localhost:{server.port}"
            keys: dict[str, Any] = {"email": "to@example.com"}
            if name.startswith("open_"):
                keys |= {"from": "me@example.com", "smtp": f"smtp://{at}"}
            else:
                keys |= {"smtp": f"smtp://me@example.com@{at}", "smtp_password_env": "MAIL_PASSWORD"}
            targets.append(target(name, **keys))
        pipeline.write("alerts.toml", RULE + "".join(targets))
        environment = {"SSL_CERT_FILE": str(authority.certificate), "MAIL_PASSWORD": SECRET}
        analyzer = pipeline.analyze(environment=environment)
        analyzer.wait_for_event("reading")
        pipeline.send([large(1, 1)])
        states = "SELECT target FROM alert_outbox WHERE status = %s"
        wait_until("they are sent", lambda: {name for (name,) in pipeline.query(states, "sent")} >= good)
        failures = "SELECT target, last_error FROM alert_outbox WHERE last_error IS NOT NULL"
        wait_until(
            "they are tried again",
            lambda: (
                pipeline.query("SELECT count(*) FROM alert_outbox WHERE attempts > 1 AND last_error IS NOT NULL")
                == [(len(bad),)]
            ),
        )
        errors = dict(pipeline.query(failures))
        assert analyzer.stop() == 0
    assert {name: len(server.mails) for name, server in servers.items()} == {
        name: int(name in good) for name in servers
    }
    assert {name: server.logins for name, server in servers.items() if server.logins} == {
        "right": [("me@example.com", SECRET)]
    }
    for name, server in servers.items():
        # No other command comes without TLS.
        assert {line.partition(" ")[0] for line in server.plain} <= {"EHLO", "STARTTLS", "QUIT"}, (name, server.plain)
        assert any(line.startswith("EHLO") for line in server.plain), name
    assert set(errors) == bad
    for name in ("other_name", "unknown", "open_unknown"):
        assert "certificate verify failed" in errors[name]
    assert "STARTTLS" in errors["none"]
    shown = analyzer.output() + "".join(errors.values()) + "".join(map(str, servers["none"].plain))
    assert SECRET not in shown
    assert base64.b64encode(f"\0me@example.com\0{SECRET}".encode()).decode() not in shown
