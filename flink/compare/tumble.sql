-- What TUMBLE loses: its cells against kpi_minute. A minute that has not closed yet differs too.
WITH ours AS (
    SELECT minute, currency, status, sum(count)::BIGINT AS count, sum(sum) AS sum
    FROM kpi_minute WHERE minute >= :'since' AND minute < :'until' GROUP BY 1, 2, 3
), theirs AS (
    SELECT minute, currency, status, count, sum FROM flink_tumble WHERE minute >= :'since' AND minute < :'until'
)
SELECT count(*), count(*) FILTER (WHERE (o.count, o.sum) IS DISTINCT FROM (t.count, t.sum)),
       coalesce(sum(o.count), 0), coalesce(sum(t.count), 0)
FROM ours o FULL JOIN theirs t USING (minute, currency, status);
