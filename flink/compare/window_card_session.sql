-- flink_card_session against ccstream's windows of windows.toml. Both leave out rows that came late, but each its own.
-- Flink's times have three digits.
WITH ours AS (
    SELECT card_token, date_trunc('milliseconds', window_start) AS window_start,
           date_trunc('milliseconds', window_end) AS window_end, count, approved_share
    FROM window_card_session
    WHERE card_token IS NOT NULL AND window_start >= :'since' AND window_end <= :'until'
), theirs AS (
    SELECT *, approved::FLOAT8 / nullif(approved + declined, 0) AS approved_share
    FROM flink_card_session WHERE window_start >= :'since' AND window_end <= :'until'
)
SELECT count(*), count(*) FILTER (WHERE (o.window_end, o.count, o.approved_share)
                                  IS DISTINCT FROM (t.window_end, t.count, t.approved_share)),
       coalesce(sum(o.count), 0), coalesce(sum(t.count), 0)
FROM ours o FULL JOIN theirs t USING (card_token, window_start);
