"""Tests the page "Alerts": what it lists, what an analyst writes, and what it says without the tables or the role."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from streamlit.testing.v1 import AppTest

from analyst import open_alert, open_some, riskiest
from ccstream.dashboard import alert_actions, alert_queries, alert_tables
from ccstream.dashboard.alert_actions import ActionError
from ccstream.dashboard.alert_tables import Filters, Rights
from ccstream.dashboard.fraud_tables import Span, Tables
from drawn import of_kind, texts
from test_dashboard import app, engines, settled  # noqa: F401
from waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analyst import Case
    from ccstream.dashboard.alert_tables import Alert, Reading
    from pipeline import Pipeline

# Streamlit and Altair cause deprecation warnings, and the threads of cached engines end only with the process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

DRAW = "from ccstream.dashboard import alerts\nalerts.draw()"


@pytest.fixture
def case(scored: Pipeline) -> Case:
    """Returns a transaction of the pipeline, where analysts may decide."""
    return riskiest(scored)


@pytest.fixture
def without_rights(scored: Pipeline) -> Iterator[str]:
    """Yields the URL of a user who may only read."""
    name = f"page-{scored.topic[-8:]}"
    scored.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret' IN ROLE ccstream_reader")
    yield scored.database_url.replace(scored.database_url.split("//")[1].split("@")[0], f"{name}:secret")
    scored.execute(f'DROP ROLE "{name}"')


def read(url: str, filters: Filters | None = None, selected: int | None = None, limit: int = 50) -> Reading:
    found = alert_tables.read(url, filters or Filters(), selected, limit)
    assert found is not None
    return found


def of(pipeline: Pipeline, number: int) -> Alert:
    found = read(pipeline.database_url, selected=number).selected
    assert found is not None
    return found


def page(url: str, monkeypatch: pytest.MonkeyPatch, **address: str) -> AppTest:
    """Returns the page "Alerts" alone."""
    monkeypatch.setenv("DATABASE_URL", url)
    made = AppTest.from_string(DRAW, default_timeout=LIMIT)
    for name, value in address.items():
        made.query_params[name] = value
    made.run()
    assert not made.exception
    return made


def test_filters_choose_and_the_most_urgent_come_first(scored: Pipeline, case: Case) -> None:
    url, ids = scored.database_url, open_some(scored, case)
    later = open_alert(scored, "card_score", 9, key="tok_another")
    acknowledged = open_alert(scored, "seen", 10, severity="critical", state="acknowledged")
    names = {number: name for name, number in ids.items()}

    def listed(**filters: Any) -> list[int]:  # noqa: ANN401
        return [one.id for one in read(url, Filters(**filters)).alerts]

    everything = listed(states=alert_tables.STATES, silenced=True)
    assert everything[:2] == [ids["card_score"], later]
    assert [names.get(number) for number in everything[2:5]] == ["noisy", "merchant_declines", "silent_terminal"]
    assert everything[5:] == [acknowledged, ids["old"]]
    assert set(listed()) == set(everything) - {ids["noisy"], ids["old"]}
    assert listed(states=("closed",)) == [ids["old"]]
    assert listed(severities=("info", "critical")) == [ids["card_score"], ids["silent_terminal"], acknowledged]
    assert listed(rule="card_score") == [ids["card_score"], later]
    # The text of a key is no pattern.
    assert listed(key="ANOTHER") == [later]
    assert listed(key="a_b") == listed(key="%") == []
    assert listed(key="B*c", silenced=True) == [ids["noisy"]]
    found = read(url, limit=2)
    assert (len(found.alerts), found.total) == (2, 5)
    # Silenced and acknowledged ones are not counted as open.
    assert found.open == {"critical": 1, "warning": 2, "info": 1}
    assert found.event_time == case.newest
    assert alert_tables.rules(url) == sorted({*ids, "seen"})


def test_a_verdict_is_an_outcome_and_a_label(scored: Pipeline, case: Case) -> None:
    url, ids = scored.database_url, open_some(scored, case)
    state = "SELECT state, outcome, note, closed_at FROM alerts WHERE id = %s"
    labels = "SELECT transaction_id, fraud, labelled_at, seq, kafka_partition, kafka_offset FROM labels"
    labels += " WHERE source = 'analyst' AND kafka_partition = -1 ORDER BY labelled_at"
    alert_actions.acknowledge(url, of(scored, ids["card_score"]), "looking")
    assert scored.query(state, ids["card_score"]) == [("acknowledged", None, "looking", None)]
    with pytest.raises(ActionError):
        alert_actions.acknowledge(url, of(scored, ids["card_score"]), "again")
    assert scored.query(labels) == []
    alert_actions.close(url, of(scored, ids["card_score"]), "fraud", "")
    assert scored.query(state, ids["card_score"]) == [("closed", "fraud", None, case.newest)]
    first = (case.transaction, True, case.newest, None, -1, 0)
    assert scored.query(labels) == [first]
    # The same verdict by another alert of the transaction adds nothing. Another one is later, so it counts.
    alert_actions.close(url, of(scored, ids["merchant_declines"]), "fraud", "")
    assert scored.query(labels) == [first]
    alert_actions.close(url, of(scored, ids["merchant_declines"]), "not fraud", "a mistake")
    after = case.newest + timedelta(microseconds=1)
    assert scored.query(labels) == [first, (case.transaction, False, after, None, -1, 0)]
    alert_actions.close(url, of(scored, ids["silent_terminal"]), "noise", "")
    with pytest.raises(ActionError):
        alert_actions.close(url, of(scored, ids["silent_terminal"]), "fraud", "")
    assert len(scored.query(labels)) == 2
    # A verdict whose label cannot be written is not written at all.
    scored.execute("REVOKE INSERT ON labels FROM ccstream_analyst")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        alert_actions.close(url, of(scored, ids["card_score"]), "not fraud", "")
    assert scored.query(state, ids["card_score"])[0][1] == "fraud"
    assert not read(url).rights.may_write


def test_a_silence_ends_by_the_time_of_the_stream(scored: Pipeline, case: Case) -> None:
    url = scored.database_url
    alert_actions.silence(url, "card_score", "tok_a", timedelta(hours=4), "a test")
    alert_actions.silence(url, "card_score", None, timedelta(days=30), "")
    first, second = read(url).silences
    assert (first.rule, first.key, first.note) == ("card_score", "tok_a", "a test")
    assert (first.ends_at, second.ends_at) == (case.newest + timedelta(hours=4), case.newest + timedelta(days=30))
    assert (second.key, second.note) == (None, None)
    alert_actions.end_silence(url, second.id)
    alert_actions.end_silence(url, second.id)
    assert read(url).silences == [first]
    scored.execute("UPDATE analysis SET event_time = event_time + interval '4 h'")
    assert read(url).silences == []


def test_only_the_role_for_analysts_may_write(
    scored: Pipeline, case: Case, without_rights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = open_some(scored, case)
    alert = of(scored, ids["card_score"])
    alert_actions.silence(scored.database_url, "card_score", None, timedelta(hours=1), "")
    rights = read(without_rights).rights
    assert (rights.exists, rights.is_granted, rights.is_able) == (True, False, True)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        alert_actions.acknowledge(without_rights, alert, "")
    made = page(without_rights, monkeypatch, alert=str(alert.id))
    assert f"`GRANT ccstream_analyst TO {rights.user};`" in texts(made)
    assert rights.user.startswith('"page-')
    off = {one.key for one in made.button if one.disabled}
    assert off >= {f"acknowledge-{alert.id}", f"close-fraud-{alert.id}", f"silence-now-{alert.id}"}
    assert any(str(key).startswith("silence-") for key in off - {f"silence-now-{alert.id}"})
    # The list and the transactions are there as for everybody.
    assert "has a score of" in texts(made)
    assert len(made.dataframe) == 1
    # Once it is granted, the page may write, and nothing else than that.
    scored.execute(f"GRANT ccstream_analyst TO {rights.user}")
    assert read(without_rights).rights.may_write
    alert_actions.acknowledge(without_rights, alert, "")
    with psycopg.connect(without_rights) as connection:
        connection.execute("SET ROLE ccstream_analyst")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE alerts SET severity = 'info'")


def test_the_missing_role_is_named() -> None:
    from ccstream.dashboard.alert_detail import _why_not  # noqa: PLC0415

    missing = _why_not(Rights('"a b"', exists=False, is_granted=False, is_able=False))
    assert '`CREATE ROLE ccstream_analyst NOLOGIN; GRANT ccstream_analyst TO "a b";`' in missing
    assert "GRANT" not in _why_not(Rights("a", exists=True, is_granted=True, is_able=False))


def test_the_last_transactions_come_by_an_index_or_from_the_newest(
    scored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ids = scored.database_url, open_some(scored, case)
    places = alert_tables.places(url, case.transaction, ("merchant",), case.merchant)
    assert places == {"merchant": case.merchant, "card_token": case.card}
    assert list(places) == ["merchant", "card_token"]
    assert alert_tables.places(url, None, ("terminal_id",), "T1") == {"terminal_id": "T1"}
    assert alert_tables.places(url, None, ("terminal_id", "merchant"), "T1, M") == {}
    assert alert_tables.places(url, None, (), None) == {}
    newest = (
        "SELECT order_id, score FROM orders LEFT JOIN scores USING (order_id) WHERE merchant = %s"
        " ORDER BY timestamp DESC, order_id LIMIT 20"
    )
    monkeypatch.setattr(alert_queries, "AMONG_NEWEST", alert_queries.AMONG_NEWEST.replace("10000", "20000"))
    found = alert_tables.last(url, "merchant", case.merchant)
    assert not found.has_index
    assert sorted((one.id, one.score) for one in found.rows) == sorted(scored.query(newest, case.merchant))
    assert len(found.rows) == 20
    made = page(url, monkeypatch, alert=str(ids["merchant_declines"]))
    assert "CREATE INDEX CONCURRENTLY ON orders (merchant, timestamp);" in texts(made)
    scored.execute("CREATE INDEX ON orders (merchant, timestamp)")
    indexed = alert_tables.last(url, "merchant", case.merchant)
    assert indexed.has_index
    assert [(one.id, one.score) for one in indexed.rows] == scored.query(newest, case.merchant)
    assert not alert_tables.last(url, "card_token", case.card).has_index
    with pytest.raises(ValueError, match="none of card_token"):
        alert_tables.last(url, "value; DROP TABLE orders", "1")


def test_every_query_uses_indexes(scored: Pipeline, case: Case) -> None:
    """Checks that no query reads a large table completely, however PostgreSQL estimates its size."""
    scored.execute("CREATE INDEX ON orders (merchant, timestamp)")
    scored.execute("VACUUM ANALYZE")
    given: dict[str, Any] = {"states": ["open", "acknowledged"], "severities": None, "rule": None, "key": None}
    given |= {"silenced": False, "limit": 25}
    asked: list[tuple[str, Any, str]] = [
        (alert_queries.OPEN, None, "alerts_open"),
        (alert_queries.ALERTS, given, "alerts_open"),
        (alert_queries.ALERTS, {**given, "states": list(alert_tables.STATES)}, "alerts_pkey"),
        (alert_queries.SELECTED, [1], "alerts_pkey"),
        (alert_queries.FIRED, [case.transaction], "orders_pkey"),
        (alert_queries.BY_INDEX.format(column="merchant"), [case.merchant], "orders_merchant_timestamp_idx"),
        (alert_queries.AMONG_NEWEST.format(column="card_token"), [case.card], "scores_pkey"),
    ]
    with psycopg.connect(scored.database_url) as connection:
        connection.execute("SET enable_seqscan = off")
        for query, values, index in asked:
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}".encode(), values))
            assert not [name for name in ("alerts", "orders", "scores") if f"Seq Scan on {name}" in plan], plan
            assert f" using {index} on " in plan, plan


def test_an_analyst_uses_the_page(scored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    url, ids = scored.database_url, open_some(scored, case)
    made = page(url, monkeypatch)
    assert "Open: **1** critical, **1** warning, **1** info" in texts(made)
    assert "Select an alert" in texts(made)
    assert r"a\.b\*c" not in texts(made)
    made.text_input(key="alert-key").input("TOK_").run()
    assert f"alert-{ids['merchant_declines']}" not in {one.key for one in made.button}
    number = ids["card_score"]
    made.button(key=f"alert-{number}").click().run()
    assert made.query_params["alert"] in (str(number), [str(number)])
    assert "has a score of" in texts(made)
    assert [getattr(one, "url", None) for one in made.get("link_button")] == ["https://wiki.example.com/card-score"]
    table = made.dataframe[0].value
    assert table.loc[table["fired"] == "●", "score"].tolist() == [case.score]
    made.text_area(key=f"note-{number}").input("called the bank")
    made.button(key=f"acknowledge-{number}").click().run()
    assert "The alert is acknowledged" in texts(made).replace("\\", "")
    assert scored.query("SELECT state, note FROM alerts WHERE id = %s", number) == [("acknowledged", "called the bank")]
    assert f"acknowledge-{number}" not in {one.key for one in made.button}
    made.radio(key=f"silence-all-{number}").set_value(True)
    made.text_input(key=f"silence-note-{number}").input("known")
    made.button(key=f"silence-now-{number}").click().run()
    [(silence, key, ends, note)] = scored.query("SELECT id, key, ends_at, note FROM alert_silences")
    assert (key, ends, note) == (None, case.newest + timedelta(hours=1), "known")
    assert "for every key until" in texts(made)
    made.button(key=f"close-not-fraud-{number}").click().run()
    assert scored.query("SELECT fraud FROM labels WHERE kafka_partition = -1") == [(False,)]
    assert "label" in made.success[0].value
    # It remains selected, although it is not listed any more.
    assert f"alert-{number}" not in {one.key for one in made.button}
    assert "closed · not fraud" in texts(made)
    made.button(key=f"silence-{silence}").click().run()
    assert scored.query("SELECT count(*) FROM alert_silences") == [(0,)]
    # An absence has no transaction, so it has no verdict. What fails is shown, and nothing is written.
    absence = ids["silent_terminal"]
    made = page(url, monkeypatch, alert=str(absence))
    keys = {str(one.key) for one in made.button}
    assert {f"close-noise-{absence}", f"close-unknown-{absence}"} <= keys
    assert f"close-fraud-{absence}" not in keys
    scored.execute("REVOKE UPDATE (state) ON alerts FROM ccstream_analyst")
    made.button(key=f"close-noise-{absence}").click().run()
    assert "Nothing was written" in made.error[0].value
    assert scored.query("SELECT state FROM alerts WHERE id = %s", absence) == [("open",)]
    made = page(url, monkeypatch, alert="1x")
    assert "Select an alert" in texts(made)


def test_markup_and_programs_are_shown_as_text(scored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert case
    odd = "![x](http://example.invalid/x.png)<b>"
    number = open_alert(scored, "odd", 1, key=odd, why_text=odd, note=odd, runbook="javascript:alert(1)")
    alert_actions.silence(scored.database_url, odd, odd, timedelta(hours=1), odd)
    made = page(scored.database_url, monkeypatch, alert=str(number))
    assert "example" in texts(made)
    assert "![x](" not in texts(made)
    assert not made.get("link_button")
    assert "javascript" in texts(made)
    assert made.text_area(key=f"note-{number}").value == odd


def test_the_page_needs_the_tables(filled: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    made = page(filled.database_url, monkeypatch)
    assert "`ccstream analyze` opens them" in made.info[0].value
    assert not made.button
    assert not made.text_input


def test_the_page_keeps_what_it_has_if_the_database_fails(
    scored: Pipeline, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = open_some(scored, case)["card_score"]
    made = page(scored.database_url, monkeypatch, alert=str(number))

    def fail(*_: object) -> None:
        raise psycopg.OperationalError("gone\nand more")

    monkeypatch.setattr(alert_tables, "read", fail)
    made.run()
    assert made.warning[0].value == "Alerts cannot be read now: gone"
    assert "has a score of" in texts(made)
    made.button(key=f"alert-{number}").click().run()
    assert not made.exception


def test_the_main_page_counts_open_alerts(scored: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    main = settled(app(monkeypatch, scored.database_url, tmp_path, range="all"))

    def links() -> list[str]:
        return [one["text"] for one in of_kind(main.run(), "link") if one["key"] == "open-alerts"]

    def statements() -> list[str]:
        """Returns what a reading of the scores asks the database."""
        asked: list[str] = []
        tables = Tables(scored.database_url, scored.topic)
        with tables.connect() as connection:
            execute: Any = connection.execute

            def listen(query: str, *more: Any) -> Any:  # noqa: ANN401
                asked.append(query)
                return execute(query, *more)

            monkeypatch.setattr(connection, "execute", listen)
            assert tables.read_now(connection, Span()) is not None
        return asked

    with_table = statements()
    scored.execute("DROP TABLE alerts")
    assert links() == []
    # Without the table, nothing is asked. With it, one query is.
    without = statements()
    assert [one for one in with_table if one not in without] == [alert_queries.OPEN]
    assert len(with_table) == len(without) + 1
    scored.run("analyze", "--no-default-model", "--until-caught-up")
    case = riskiest(scored)
    assert links() == []
    open_some(scored, case)
    wait_until("they are counted", lambda: links() == ["Open alerts: 1 critical, 1 warning, 1 info"])
    scored.execute("UPDATE alerts SET state = 'closed'")
    wait_until("none is open", lambda: links() == [])
    assert not main.exception
