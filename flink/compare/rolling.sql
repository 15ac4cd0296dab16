-- A recount of flink_rolling from orders. Windows that have not closed yet differ, and those with rows that came late.
WITH ours AS (
    SELECT w.start AS window_start, CASE WHEN currency ~ '^[A-Za-z]{3}$' THEN upper(currency) ELSE '' END AS currency,
           count(*) AS count, round(count(*) / 300.0, 4) AS rate, round(avg(value), 4) AS mean,
           count(DISTINCT card_token) AS cards,
           round(count(*) FILTER (WHERE lower(status) IN (:approved))::NUMERIC
                 / nullif(count(*) FILTER (WHERE lower(status) IN (:approved, :declined)), 0), 4) AS approval_rate
    FROM orders, generate_series(date_trunc('minute', timestamp) - interval '4 minutes',
                                 date_trunc('minute', timestamp), interval '1 minute') AS w (start)
    WHERE w.start >= :'since' AND w.start + interval '5 minutes' <= :'until'
    GROUP BY 1, 2
), theirs AS (
    SELECT * FROM flink_rolling WHERE window_start >= :'since' AND window_end <= :'until'
)
SELECT count(*), count(*) FILTER (WHERE (o.count, o.rate, o.mean, o.cards, o.approval_rate)
                                  IS DISTINCT FROM (t.count, t.rate, t.mean, t.cards, t.approval_rate)),
       coalesce(sum(o.count), 0), coalesce(sum(t.count), 0)
FROM ours o FULL JOIN theirs t USING (window_start, currency);
