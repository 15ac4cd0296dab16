-- flink_rolling against ccstream's windows of windows.toml. Both leave out rows that came late, but each its own.
WITH ours AS (
    SELECT window_start, coalesce(currency, '') AS currency, count, round(count / 300.0, 4) AS rate, mean, cards,
           round(approved_share::NUMERIC, 4) AS approval_rate
    FROM window_rolling WHERE window_start >= :'since' AND window_end <= :'until'
), theirs AS (
    SELECT * FROM flink_rolling WHERE window_start >= :'since' AND window_end <= :'until'
)
SELECT count(*), count(*) FILTER (WHERE (o.count, o.rate, o.mean, o.cards, o.approval_rate)
                                  IS DISTINCT FROM (t.count, t.rate, t.mean, t.cards, t.approval_rate)),
       coalesce(sum(o.count), 0), coalesce(sum(t.count), 0)
FROM ours o FULL JOIN theirs t USING (window_start, currency);
