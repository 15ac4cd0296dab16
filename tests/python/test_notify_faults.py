"""Tests notifications of targets that ask for a pause or are removed, and when another analyzer takes over."""

from __future__ import annotations

import math
import signal
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from receivers import Webhook
from test_alerts import RULE
from test_notify import large, paths, target
from waiting import wait_until

if TYPE_CHECKING:
    from pipeline import Pipeline
    from receivers import Request

DUE = "UPDATE alert_outbox SET next_at = now() WHERE status = 'waiting'"
"""Makes due what waits, as if the time was over for which it was claimed or its target wanted to be left alone."""


def rows(pipeline: Pipeline, name: str) -> list[tuple[int, str, int]]:
    """Returns the alert, the status and the number of attempts of each row of a target."""
    return pipeline.query("SELECT alert, status, attempts FROM alert_outbox WHERE target = %s ORDER BY id", name)


def score(pipeline: Pipeline, number: int) -> None:
    """Sends the transaction of this number, on which the rule fires, and waits until its alert is written."""
    pipeline.send([large(number, number)])
    wait_until("it is scored", lambda: pipeline.query("SELECT seq FROM analysis") == [(number,)])


def change(pipeline: Pipeline, targets: str, version: int) -> None:
    """Changes the targets, and waits until the file was read, which the version of the rule tells."""
    pipeline.write("alerts.toml", RULE.replace("10m", f"1{version}m") + targets)
    active = "SELECT version FROM alert_rules WHERE is_active"
    wait_until("it is read", lambda: pipeline.query(active) == [(version,)])


def wait_for_attempt(pipeline: Pipeline, name: str) -> None:
    """Waits until an attempt for a target has failed."""
    failed = "SELECT FROM alert_outbox WHERE target = %s AND status = 'waiting' AND last_error IS NOT NULL"
    wait_until("an attempt has failed", lambda: bool(pipeline.query(failed, name)))


def test_a_target_is_left_alone_as_long_as_it_asks_but_not_for_a_year(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    now = datetime.now(timezone.utc)
    year = format_datetime(now + timedelta(days=365), usegmt=True)
    past = format_datetime(now - timedelta(days=365), usegmt=True)
    asked = {"/seconds": "2", "/date": "", "/year": year, "/past": past, "/odd": "soon"}
    until: dict[str, float] = {}

    def answer(request: Request) -> tuple[int, dict[str, str]]:
        if paths(webhook).count(request.path) > 1:
            return 200, {}
        pause = asked[request.path]
        if request.path == "/date":
            # The date has whole seconds.
            until["/date"] = math.ceil(request.at) + 2
            pause = format_datetime(datetime.fromtimestamp(until["/date"], timezone.utc), usegmt=True)
        elif request.path == "/seconds":
            until["/seconds"] = request.at + 2
        return 503, {"Retry-After": pause}

    with Webhook(answer).serving() as webhook:
        names = [path.removeprefix("/") for path in asked]
        targets = [target(name, webhook=webhook.url(f"/{name}"), group="0s") for name in names]
        pipeline.write("alerts.toml", RULE + "".join(targets))
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        score(pipeline, 1)
        wait_until("all have answered", lambda: set(paths(webhook)) == set(asked))
        # What comes meanwhile waits, too.
        score(pipeline, 2)
        sent = "SELECT count(*) FROM alert_outbox WHERE status = 'sent'"
        wait_until("the others are sent", lambda: pipeline.query(sent) == [(8,)])
        assert rows(pipeline, "year") == [(1, "waiting", 1), (2, "waiting", 0)]
        left = "SELECT next_at - now() FROM alert_outbox WHERE target = 'year' AND attempts = 1"
        [(pause,)] = pipeline.query(left)
        assert timedelta(minutes=50) < pause <= timedelta(hours=1)
        assert analyzer.stop() == 0
        # The hour is over.
        pipeline.execute(DUE)
        analyzer = pipeline.analyze()
        wait_until("all are sent", lambda: pipeline.query(sent) == [(10,)])
        assert analyzer.stop() == 0
    for path in asked:
        first, *later = (request for request in webhook.requests if request.path == path)
        assert len(later) == 2
        assert [request.key for request in later].count(first.key) == 1
        assert all(request.at >= until.get(path, first.at + 1) for request in later), path


def test_what_waits_for_a_removed_target_is_sent_once_it_is_back_or_fails(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    is_well = threading.Event()
    with Webhook(lambda _: (200 if is_well.is_set() else 503, {})).serving() as webhook, Webhook().serving() as other:
        old = target("old", webhook=webhook.url("/old"), group="1h")
        late = target("late", webhook=webhook.url("/late"), group="0s")
        stays = target("stays", webhook=other.url(), group="0s")
        pipeline.write("alerts.toml", RULE + old + stays)
        analyzer = pipeline.analyze()
        analyzer.wait_for_event("reading")
        score(pipeline, 1)
        wait_for_attempt(pipeline, "old")
        change(pipeline, stays, 2)
        score(pipeline, 2)
        asked = len(webhook.requests)
        wait_until(
            "the other has both", lambda: [row[:2] for row in rows(pipeline, "stays")] == [(1, "sent"), (2, "sent")]
        )
        pipeline.execute(DUE)
        # What is due would be sent at once; the sender looks every second.
        score(pipeline, 3)
        wait_until("the other has it", lambda: [row[:2] for row in rows(pipeline, "stays")][2:] == [(3, "sent")])
        assert [row[:2] for row in rows(pipeline, "old")] == [(1, "waiting")]
        assert len(webhook.requests) == asked
        # It is back: it gets what has waited, and is notified of what is opened from then on.
        is_well.set()
        change(pipeline, old + stays, 3)
        wait_until("it is sent", lambda: [row[:2] for row in rows(pipeline, "old")] == [(1, "sent")])
        assert len(set(webhook.keys())) == 1
        # It is removed for good: one that was tried and one that was not wait longer than a day.
        is_well.clear()
        pipeline.execute("UPDATE alert_outbox SET begun_at = begun_at - interval '2 h'")
        score(pipeline, 4)
        wait_for_attempt(pipeline, "old")
        score(pipeline, 5)
        change(pipeline, late + stays, 4)
        score(pipeline, 6)
        wait_for_attempt(pipeline, "late")
        assert analyzer.stop() == 0
        assert analyzer.summary()["notifications_failed"] == 0
        assert [row[:2] for row in rows(pipeline, "old")] == [(1, "sent"), (4, "waiting"), (5, "waiting")]
        pipeline.execute(
            "UPDATE alert_outbox SET written_at = written_at - interval '25 h', begun_at = begun_at - interval '25 h',"
            " next_at = now() WHERE status = 'waiting'"
        )
        analyzer = pipeline.analyze()
        failed = "SELECT target, alert, last_error FROM alert_outbox WHERE status = 'failed' ORDER BY alert"
        wait_until("they have failed", lambda: len(pipeline.query(failed)) == 3)
        assert analyzer.stop() == 0
    busy = "the server answered 503 Service Unavailable"
    assert pipeline.query(failed) == [("old", 4, busy), ("old", 5, "the target was removed"), ("late", 6, busy)]
    assert pipeline.query("SELECT count(*) FROM alert_outbox WHERE status = 'waiting'") == [(0,)]
    assert analyzer.summary()["notifications_failed"] == 3
    assert "0 sent, 3 failed" in analyzer.output()
    warned = sorted(warning["text"] for warning in analyzer.warned("notification_failed"))
    assert len(warned) == 2
    assert warned[0].startswith("a notification of the target late was not sent")
    assert warned[1].endswith("waited for a day: 2. They are not sent any more; alerts are not lost")


@pytest.mark.timeout(600)
def test_who_takes_over_sends_what_waits_with_the_same_keys(embedded_pipeline: Pipeline) -> None:
    pipeline = embedded_pipeline
    pipeline.create_topic(1)
    hold, go_on = threading.Event(), threading.Event()

    def answer(_: Request) -> tuple[int, dict[str, str]]:
        if not hold.is_set():
            return 200, {}
        # Only the next request is held, and then fails.
        hold.clear()
        go_on.wait()
        return 500, {}

    with Webhook(answer).serving() as webhook:
        pipeline.write("alerts.toml", RULE + target("ops", webhook=webhook.url(), group="0s"))
        first = pipeline.analyze()
        first.wait_for_event("reading")
        second = pipeline.analyze()
        second.wait_for_event("standby")
        holder, standby = first, second
        for number, stop in ((1, signal.SIGSTOP), (3, signal.SIGKILL)):
            go_on.clear()
            hold.set()
            before = len(webhook.requests)
            score(pipeline, number)
            wait_until("it is being sent", lambda: len(webhook.requests) == before + 1)  # noqa: B023
            # While one is being sent, the next one waits.
            score(pipeline, number + 1)
            leased = len(standby.events("leased"))
            holder.signal(stop)
            claimed = pipeline.query("SELECT key FROM alert_outbox WHERE alert = %s", number)
            assert claimed == [(webhook.requests[before].key,)]
            wait_until("the other one has the lease", lambda: len(standby.events("leased")) > leased)  # noqa: B023
            wait_until("what waits is sent", lambda: rows(pipeline, "ops")[-1] == (number + 1, "sent", 1))  # noqa: B023
            pipeline.execute(DUE)
            wait_until("all is sent", lambda: rows(pipeline, "ops")[-2] == (number, "sent", 2))  # noqa: B023
            go_on.set()
            if stop == signal.SIGSTOP:
                holder.signal(signal.SIGCONT)
                holder.wait_for_event("lost_lease")
                holder.wait_for_event("standby")
            holder, standby = standby, holder
        assert second.wait() == -signal.SIGKILL
        assert first.stop() == 0
    assert pipeline.query("SELECT count(*), sum(count) FROM alerts") == [(4, 4)]
    assert [row[:2] for row in rows(pipeline, "ops")] == [(number, "sent") for number in range(1, 5)]
    alert_of = dict(pipeline.query("SELECT key, alert FROM alert_outbox"))
    # Those that were being sent came twice, with one key and one body.
    assert [alert_of[request.key] for request in webhook.requests] == [1, 2, 1, 3, 4, 3]
    for request in webhook.requests:
        again = [one.body for one in webhook.requests if one.key == request.key]
        assert again == [request.body] * len(again)
