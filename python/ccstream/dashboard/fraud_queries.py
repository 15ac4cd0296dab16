"""Defines the queries of the panel "Fraud". Each reads a bounded number of rows, and finds them by an index."""

from __future__ import annotations

from ccstream.dashboard.quality import TOP_CARDS

MOST_HIGH = 10_000
"""The number of high scores, counted from the newest, among which the riskiest are searched."""
MOST_PLANTED = 50_000
"""The number of planted frauds of a day above which that day is not compared with them."""
MOST_LABELS = 2_000
"""The number of labels, counted from the newest, from which their delay is learnt."""
RISKIEST, TOP = 8, 10
"""The numbers of transactions with reasons, and of rows of the tables of cards and merchants."""
COLUMNS = {
    "scores": {"seq", "order_id", "event_time", "score", "card", "reasons"},
    "models": {"name", "is_active", "is_shadow"},
    "analysis": {"seq", "event_time"},
    "analysis_offsets": {"next_offset"},
    "labels": {"labelled_at"},
    "score_minute": {"minute", "model", "scored", "high"},
    "score_day": {"day", "model", "at_least", "scored", "frauds"},
    "top_cards": {"day", "card", "score", "order_id"},
    "fraud_cards": {"day", "card"},
    "feature_day": {"day", "feature", "bin", "seen"},
}
"""The tables and columns without which there is no panel."""
POSITION = """SELECT a.event_time, a.late, a.renewed_at,
    a.writer IS NOT NULL AND a.renewed_at > now() - interval '10 s'
        AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = a.owner_pid),
    coalesce((SELECT min(name) FROM models WHERE is_active), 'rules'), (SELECT min(name) FROM models WHERE is_shadow),
    localtimestamp, (SELECT min(minute) FROM score_minute), (SELECT max(minute) FROM score_minute)
FROM analysis a"""
SERIES = """SELECT floor(extract(epoch FROM minute) / %(width)s)::bigint * %(width)s, sum(scored)::bigint,
    sum(high)::bigint
FROM score_minute WHERE minute >= %(start)s AND minute < %(end)s GROUP BY 1 ORDER BY 1"""
# The rows with reasons are those with a high score. Their index leads to the newest without a search.
HIGH = f"""high AS MATERIALIZED (SELECT * FROM (SELECT seq, order_id, event_time, score, card, reasons FROM scores
    WHERE reasons IS NOT NULL ORDER BY seq DESC LIMIT {MOST_HIGH}) newest
    WHERE event_time >= %(start)s AND event_time < %(end)s)"""
STAKE = f"""WITH {HIGH} SELECT o.currency, count(*), sum(abs(o.value)) FROM high JOIN orders o USING (order_id)
GROUP BY 1"""
ROW = """s.event_time, s.score, o.value, o.currency, o.merchant, coalesce('••' || o.card_last4, o.card_token),
    s.reasons"""
HIGHEST = f"""WITH {HIGH}, best AS MATERIALIZED (SELECT * FROM high ORDER BY score DESC, seq DESC LIMIT {RISKIEST})
SELECT {ROW} FROM best s LEFT JOIN orders o USING (order_id) ORDER BY s.score DESC, s.seq DESC"""
CARDS = f"""WITH best AS MATERIALIZED (SELECT * FROM top_cards WHERE day = (SELECT max(day) FROM top_cards)
    ORDER BY score DESC, card LIMIT {TOP})
SELECT {ROW},
    EXISTS (SELECT FROM fraud_cards f WHERE f.day = t.day AND f.card = t.card)
FROM best t JOIN scores s USING (order_id) LEFT JOIN orders o USING (order_id) ORDER BY t.score DESC, t.card"""
MERCHANTS = f"""WITH {HIGH} SELECT o.merchant, count(*), sum(h.score), count(DISTINCT h.card), max(h.score)
FROM high h JOIN orders o USING (order_id) WHERE o.merchant IS NOT NULL GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT {TOP}"""
MATURITY = f"""SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY l.labelled_at - s.event_time)
FROM (SELECT transaction_id, labelled_at FROM labels WHERE labelled_at <= %s ORDER BY labelled_at DESC
    LIMIT {MOST_LABELS}) l JOIN scores s ON s.order_id = l.transaction_id"""
MAIN = """SELECT DISTINCT ON (1) minute::date, model FROM score_minute WHERE minute >= %s GROUP BY 1, 2
ORDER BY 1, sum(scored) DESC, 2"""
CELLS = """SELECT day, model, array_agg(at_least), array_agg(scored), array_agg(frauds) FROM score_day
WHERE day >= %s GROUP BY 1, 2 ORDER BY 1, 2"""
# There may be millions of cards with a fraud on a day. Their number matters only up to that of the top cards.
FOUND = f"""SELECT day, (SELECT count(*) FROM (SELECT FROM fraud_cards f WHERE f.day = d.day LIMIT {TOP_CARDS}) AS f),
    (SELECT count(*) FROM top_cards t WHERE t.day = d.day
        AND EXISTS (SELECT FROM fraud_cards f WHERE f.day = t.day AND f.card = t.card))
FROM unnest(%s::date[]) AS d (day)"""
FEATURES = "SELECT feature, array_agg(day), array_agg(bin), array_agg(seen) FROM feature_day WHERE day >= %s GROUP BY 1"
PLANTED = f"""SELECT s.score, s.card, t.card IS NOT NULL
FROM (SELECT transaction_id FROM truth WHERE timestamp >= %(day)s AND timestamp < %(next)s AND kind = 'fraud'
    LIMIT {MOST_PLANTED + 1}) p
JOIN scores s ON s.order_id = p.transaction_id LEFT JOIN top_cards t ON t.day = %(day)s AND t.card = s.card
WHERE s.score IS NOT NULL"""
