-- A recount of flink_card_session from orders. Open sessions differ, and those with rows that came late.
WITH marked AS (
    SELECT *, CASE WHEN timestamp - lag(timestamp) OVER card <= interval '30 minutes' THEN 0 ELSE 1 END AS begins
    FROM (SELECT date_trunc('milliseconds', timestamp) AS timestamp, order_id, card_token, lower(status) AS status,
                 value, merchant, country,
                 CASE WHEN currency ~ '^[A-Za-z]{3}$' THEN upper(currency) ELSE '' END AS currency
          FROM orders WHERE card_token IS NOT NULL) AS cut
    WINDOW card AS (PARTITION BY card_token ORDER BY timestamp)
), numbered AS (
    SELECT *, sum(begins) OVER (PARTITION BY card_token ORDER BY timestamp) AS session FROM marked
), ours AS (
    SELECT card_token, min(timestamp) AS window_start, max(timestamp) + interval '30 minutes' AS window_end,
           count(*) AS count, count(*) FILTER (WHERE status IN (:approved)) AS approved,
           count(*) FILTER (WHERE status IN (:declined)) AS declined, count(DISTINCT merchant) AS merchants,
           count(DISTINCT country) AS countries, count(DISTINCT currency) AS currencies,
           CASE WHEN count(DISTINCT currency) = 1 THEN sum(value) END AS sum
    FROM numbered GROUP BY card_token, session
    HAVING min(timestamp) >= :'since' AND max(timestamp) + interval '30 minutes' <= :'until'
), theirs AS (
    SELECT * FROM flink_card_session WHERE window_start >= :'since' AND window_end <= :'until'
)
SELECT count(*), count(*) FILTER (
           WHERE (o.window_end, o.count, o.approved, o.declined, o.merchants, o.countries, o.currencies, o.sum)
           IS DISTINCT FROM
                 (t.window_end, t.count, t.approved, t.declined, t.merchants, t.countries, t.currencies, t.sum)),
       coalesce(sum(o.count), 0), coalesce(sum(t.count), 0)
FROM ours o FULL JOIN theirs t USING (card_token, window_start);
