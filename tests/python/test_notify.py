"""Tests that targets are notified of alerts at least once, whatever hangs, fails or is killed."""

from __future__ import annotations

import json
import signal
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from certificates import Authority, missing_openssl, self_signed
from conftest import at_length, leave_out
from receivers import MailServer, Webhook
from test_alerts import RULE, event
from test_analyze import analyze
from topics import read_whole
from waiting import wait_until

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from pipeline import Pipeline
    from receivers import Request

OUTBOX = "SELECT target, what, status, attempts FROM alert_outbox ORDER BY id"


def target(name: str, **keys: object) -> str:
    """Returns a target of the file of alerts."""
    return f'\n[[notify]]\nname = "{name}"\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def large(number: int, second: int, **fields: str) -> bytes:
    """Returns a transaction on which the rule fires, with its own card."""
    return event(number, f"10:00:{second:02}", amount="200.50", **{"card_token": f"c{number}", **fields})


def topic_of_alerts(pipeline: Pipeline) -> str:
    """Creates a topic for notifications, and returns its name."""
    topic = f"{pipeline.topic}-alerts"
    # The client has to exist until the topic is created.
    admin = AdminClient({"bootstrap.servers": pipeline.broker})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    return topic


def sent(pipeline: Pipeline) -> bool:
    """Returns whether there are notifications and all of them are sent."""
    return pipeline.query("SELECT bool_and(status = 'sent') FROM alert_outbox") == [(True,)]


def test_a_webhook_that_fails_three_times_gets_one_notification_with_one_key(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    webhook = Webhook()
    webhook.answer = lambda _: (500 if len(webhook.requests) <= 3 else 200, {})
    with webhook.serving():
        # The URL has a secret, so it comes from the environment.
        pipeline.write("alerts.toml", RULE + target("ops", webhook_env="HOOK"))
        analyzer = pipeline.analyze(environment={"HOOK": webhook.url("/hook/secret")})
        analyzer.wait_for_event("reading")
        pipeline.send([large(1, 1)])
        wait_until("it is sent", lambda: pipeline.query(OUTBOX)[:1] == [("ops", "opened", "sent", 4)])
        assert analyzer.stop() == 0
    assert len(webhook.requests) == 4
    [key] = set(webhook.keys())
    assert pipeline.query("SELECT key, sent_at IS NOT NULL, last_error FROM alert_outbox") == [(key, True, None)]
    assert all(request.body == webhook.requests[0].body for request in webhook.requests)
    body = webhook.requests[0].body
    [(alert, why)] = pipeline.query("SELECT id, why FROM alerts")
    assert (body["key"], body["target"], body["rule"], body["what"], body["count"]) == (
        key,
        "ops",
        "large",
        "opened",
        1,
    )
    assert body["alerts"] == [
        {
            "id": alert,
            "version": 1,
            "key": "c1",
            "severity": "critical",
            "opened_at": "2026-01-05T10:00:01.000000Z",
            "closed_at": None,
            "text": "200.50 (card_token c1): amount > 100 and country != US",
            "runbook": "https://example.com/large",
            "why": why,
        }
    ]
    assert not analyzer.warned("notification_failed")
    assert "  notifications of alerts: 1 sent, 0 failed" in analyzer.output()
    assert "secret" not in analyzer.output()


def test_a_webhook_that_hangs_stops_neither_the_analysis_nor_other_targets(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    go_on = threading.Event()
    topic = topic_of_alerts(pipeline)

    def hang(_: Request) -> tuple[int, dict[str, str]]:
        go_on.wait()
        return 200, {}

    with Webhook(hang).serving() as hanging, Webhook().serving() as other:
        targets = (
            target("hangs", webhook=hanging.url()),
            target("other", webhook=other.url(), group="0s"),
            target("topic", topic=topic, group="0s"),
            target("info", webhook=other.url("/warnings"), rules=["small"]),
        )
        pipeline.write(
            "alerts.toml", RULE + RULE.replace("large", "small").replace("critical", "info") + "".join(targets)
        )
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        pipeline.send([large(1, 1)])
        wait_until("it hangs", lambda: len(hanging.requests) == 1)
        pipeline.send([large(number, number) for number in range(2, 50)])
        wait_until("all are scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(49,)], limit=8)
        wait_until(
            "other targets have them",
            lambda: (
                pipeline.query(
                    "SELECT count(*) FROM alert_outbox WHERE status = 'sent' AND target IN ('other', 'topic')"
                )
                == [(2 * 98,)]
            ),
        )
        assert pipeline.query("SELECT count(*) FROM alert_outbox WHERE status = 'sent' AND target = 'hangs'") == [(0,)]
        # It is abandoned after 10 s, and tried again with the same key.
        wait_until("it is tried again", lambda: len(hanging.requests) >= 3)
        [(error,)] = pipeline.query("SELECT DISTINCT last_error FROM alert_outbox WHERE last_error IS NOT NULL")
        assert error == "no answer within 10 s"
        # A run that is stopped does not wait for it.
        began = time.monotonic()
        assert analyzer.stop() == 0
        assert time.monotonic() - began < 8
        go_on.set()
    assert {request.body["rule"] for request in other.requests if request.path == "/warnings"} == {"small"}
    listed = [alert["id"] for request in other.requests for alert in request.body["alerts"] if request.path == "/hook"]
    assert len(set(listed)) == sum(r.body["count"] - r.body["others"] for r in other.requests if r.path == "/hook")
    messages = list(read_whole(pipeline.broker, topic))
    bodies = [json.loads(message.value() or b"") for message in messages]
    assert sum(body["count"] for body in bodies) == 98
    assert {body["target"] for body in bodies} == {"topic"}
    assert all(message.key() == body["key"].encode() for message, body in zip(messages, bodies, strict=True))


@pytest.mark.timeout(1_800)
def test_each_notification_comes_despite_kills(embedded_pipeline: Pipeline, chance: random.Random) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    kills = at_length(6, 100)

    def answer(_: Request) -> tuple[int, dict[str, str]]:
        # The time lets kills come while something is being sent. Every third request fails.
        time.sleep(chance.random() / 10)
        return 503 if chance.random() < 0.3 else 200, {}

    topic = topic_of_alerts(pipeline)
    webhook = Webhook(answer)
    with webhook.serving():
        ops = target("ops", webhook=webhook.url(), form="alertmanager", group="0s")
        pipeline.write("alerts.toml", RULE + ops + target("topic", topic=topic, group="0s"))
        number = 0
        for kill in range(kills):
            analyzer = pipeline.analyze("--linger", "0.02")
            analyzer.wait_for_event("reading")
            # A rule that fires 20 times in a minute would be suspended.
            for second in range(chance.randrange(1, 20)):
                number += 1
                pipeline.send(
                    [large(number, second, timestamp=f"2026-01-05T{10 + kill // 60}:{kill % 60:02}:{second:02}Z")]
                )
            goal = len(webhook.requests) + chance.randrange(5)
            wait_until("some are sent", lambda: len(webhook.requests) >= goal or sent(pipeline))  # noqa: B023
            analyzer.signal(signal.SIGKILL)
            analyzer.wait()
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        wait_until("all are scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(number,)])
        wait_until("all are sent", lambda: sent(pipeline))
        assert analyzer.stop() == 0
    opened = [alert for (alert,) in pipeline.query("SELECT id FROM alerts ORDER BY id")]
    assert len(opened) == number
    alerts_of: dict[str, dict[str, set[int]]] = {"ops": {}, "topic": {}}
    for name, of in alerts_of.items():
        rows = pipeline.query("SELECT alert, key FROM alert_outbox WHERE target = %s ORDER BY alert", name)
        assert [alert for alert, _ in rows] == opened
        for alert, key in rows:
            of.setdefault(key, set()).add(alert)
    # Each is there, however often it was sent, with one key.
    assert set(webhook.keys()) == set(alerts_of["ops"])
    for request in webhook.requests:
        assert {int(alert["labels"]["alert_id"]) for alert in request.body} == alerts_of["ops"][request.key]
    messages = [json.loads(message.value() or b"") for message in read_whole(pipeline.broker, topic)]
    assert {message["key"] for message in messages} == set(alerts_of["topic"])
    for message in messages:
        # A message lists 20 of them.
        listed = sorted(alerts_of["topic"][message["key"]])
        assert message["count"] == len(listed)
        assert [alert["id"] for alert in message["alerts"]] == listed[:20]
    told = f"{len(webhook.requests)} requests with {len(alerts_of['ops'])} keys"
    told += f", {len(messages)} messages with {len(alerts_of['topic'])} keys"
    print(f"{kills} kills, {number} alerts, {told}")


def test_alerts_of_a_rule_that_open_soon_after_each_other_come_together(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    with Webhook().serving() as webhook:
        pipeline.write(
            "alerts.toml", RULE + target("ops", webhook=webhook.url(), group="3s", form="slack", severity="critical")
        )
        # A run that ends by itself sends what is due before.
        pipeline.send([large(number, number) for number in range(1, 31)])
        analyze(pipeline)
        [first] = webhook.requests
        assert first.body["text"] == "30 alerts large (critical)"
        text = "".join(block["text"]["text"] for block in first.body["blocks"])
        assert text.count("card_token") == 20
        assert text.endswith("and 10 more")
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        for number in (31, 32):
            pipeline.send([large(number, number)])
            wait_until("it is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(number,)])  # noqa: B023
        wait_until("they are sent", lambda: sent(pipeline))
        assert analyzer.stop() == 0
    assert len(webhook.requests) in {2, 3}
    apart = "SELECT count(DISTINCT key), max(begun_at) - min(begun_at) >= interval '3s' FROM alert_outbox"
    assert pipeline.query(apart) == [(len(webhook.requests), True)]


def test_an_email_has_one_message_id_however_often_it_is_sent(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    with MailServer(refusals=2).serving() as server:
        keys: dict[str, Any] = {"email": "to@example.com", "from": "me@example.com"}
        pipeline.write("alerts.toml", RULE + target("mail", **keys, smtp=f"smtp://127.0.0.1:{server.port}"))
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        pipeline.send([large(1, 1)])
        wait_until("it is sent", lambda: pipeline.query(OUTBOX)[:1] == [("mail", "opened", "sent", 3)])
        assert analyzer.stop() == 0
    [mail] = server.mails
    [(key,)] = pipeline.query("SELECT key FROM alert_outbox")
    assert {one["Message-ID"] for one in (*server.refused, mail)} == {f"<{key}@ccstream>"}
    assert (mail["To"], mail["From"]) == ("to@example.com", "me@example.com")
    assert mail["Subject"] == "[ccstream] Alert large (critical): c1"
    assert "200.50 (card_token c1): amount > 100 and country != US" in mail.get_content()


def test_who_wants_to_hears_that_an_alert_is_closed(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    with Webhook().serving() as webhook:
        rule = '[[alert]]\nname = "silent"\nkind = "absence"\nafter = "3s"\n'
        both = target("both", webhook=webhook.url("/both"), form="alertmanager", resolved=True, group="0s")
        pipeline.write("alerts.toml", rule + both + target("opened", webhook=webhook.url("/opened"), group="0s"))
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        of = "SELECT target, what FROM alert_outbox WHERE status = 'sent' ORDER BY id"
        first = [("both", "opened"), ("opened", "opened")]
        pipeline.send([event(1, "10:00:00")])
        wait_until("it is silent", lambda: sorted(pipeline.query(of)) == first)
        pipeline.send([event(2, "10:00:01")])
        wait_until("it is back", lambda: pipeline.query(of)[2:] == [("both", "closed")])
        # Within the cooldown, the same alert is open again. Who did not hear that it was closed, hears nothing.
        wait_until("it is open again", lambda: pipeline.query(of)[3:] == [("both", "opened")])
        assert analyzer.stop() == 0
    opened, closed, again = (request.body[0] for request in webhook.requests if request.path == "/both")
    assert opened["labels"] == closed["labels"] == again["labels"]
    assert ("endsAt" in opened, "endsAt" in closed, "endsAt" in again) == (False, True, False)
    assert len({request.key for request in webhook.requests}) == 4


def test_what_a_target_refuses_fails_and_is_warned_of(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    answers = {"/gone": (404, {}), "/moved": (307, {"Location": "/ok"}), "/busy": (429, {"Retry-After": "2"})}
    with Webhook().serving() as webhook:
        webhook.answer = lambda request: (
            answers[request.path] if request.path != "/busy" or "/busy" not in paths(webhook)[:-1] else (200, {})
        )
        names = [path.removeprefix("/") for path in answers]
        targets = [target(name, webhook=webhook.url(f"/{name}")) for name in names]
        wrong = target("unset", webhook_env="NO_SUCH_VARIABLE", rules=["x"]) + target("circle", topic=pipeline.topic)
        path = pipeline.write("alerts.toml", RULE + "".join(targets) + wrong)
        checks = json.loads(pipeline.run("doctor", "--json", "--alerts", str(path), status=1))["checks"]
        [found] = [check["found"] for check in checks if check["name"] == "alerts"]
        assert "[[notify]] unset: the environment variable NO_SUCH_VARIABLE is not set" in found
        assert '[[notify]] unset: no rule that is right has the name "x"' in found
        assert f"[[notify]] circle: the analyzer reads the topic {pipeline.topic}" in found
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        assert len(analyzer.warned("alert_refused")) == 3
        pipeline.send([large(1, 1)])
        expected = [("gone", "failed", 5), ("moved", "failed", 5), ("busy", "sent", 2)]
        states = "SELECT target, status, attempts FROM alert_outbox ORDER BY id"
        wait_until("they have failed", lambda: sorted(pipeline.query(states)) == sorted(expected))
        assert analyzer.stop() == 0
        assert "/ok" not in paths(webhook)
    errors = dict(pipeline.query("SELECT target, last_error FROM alert_outbox"))
    assert errors["gone"] == "the server answered 404 Not Found"
    assert "redirects are not followed" in errors["moved"]
    warned = [warning["text"] for warning in analyzer.warned("notification_failed")]
    assert sorted(text.split(" was not sent")[0] for text in warned) == [
        "a notification of the target gone",
        "a notification of the target moved",
    ]
    assert analyzer.events("ended")[0]["summary"]["notifications_failed"] == 2


def test_certificates_are_checked_and_a_password_needs_tls(embedded_pipeline: Pipeline, tmp_path: Path) -> None:
    if missing := missing_openssl():
        leave_out("tls", f"it needs {missing}")
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    authority = Authority(tmp_path)
    good, bad = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    good.load_cert_chain(*authority.sign("server", "localhost"))
    bad.load_cert_chain(*self_signed(tmp_path, "other", "localhost"))
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("a secret\n", encoding="utf-8")
    with (
        Webhook().serving(good) as trusted,
        Webhook().serving(bad) as other,
        MailServer().serving(good) as server,
        MailServer().serving() as plain,
    ):
        mail: dict[str, Any] = {"email": "to@example.com", "smtp_password_file": str(password)}
        targets = (
            target("trusted", webhook=trusted.url(scheme="https")),
            target("other", webhook=other.url(scheme="https")),
            target("mail", smtp=f"smtps://me@example.com@localhost:{server.port}", **mail),
            target("plain", smtp=f"smtp://me@example.com@localhost:{plain.port}", **mail),
        )
        pipeline.write("alerts.toml", RULE + "".join(targets))
        analyzer = pipeline.analyze(environment={"SSL_CERT_FILE": str(authority.certificate)})
        analyzer.wait_for_event("reading")
        pipeline.send([large(1, 1)])
        states = "SELECT target, status FROM alert_outbox WHERE status = 'sent' ORDER BY target"
        wait_until("they are sent", lambda: pipeline.query(states) == [("mail", "sent"), ("trusted", "sent")])
        failures = "SELECT target, last_error FROM alert_outbox WHERE last_error IS NOT NULL"
        wait_until("they have failed", lambda: set(dict(pipeline.query(failures))) == {"other", "plain"})
        errors = dict(pipeline.query(failures))
        assert analyzer.stop() == 0
    assert "certificate verify failed" in errors["other"]
    assert not other.requests
    assert server.logins == [("me@example.com", "a secret")]
    assert len(server.mails) == 1
    assert not plain.logins
    assert "a secret" not in analyzer.output() + "".join(errors.values())


def paths(webhook: Webhook) -> list[str]:
    """Returns the paths of all requests."""
    return [request.path for request in webhook.requests]
