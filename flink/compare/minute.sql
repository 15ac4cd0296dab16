-- Every cell of flink_minute against kpi_minute, added up over partitions.
WITH ours AS (
    SELECT minute, currency, status, sum(count)::BIGINT AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max
    FROM kpi_minute WHERE minute >= :'since' AND minute < :'until' GROUP BY 1, 2, 3
), theirs AS (
    SELECT minute, currency, status, count, sum, min, max
    FROM flink_minute WHERE minute >= :'since' AND minute < :'until'
)
SELECT count(*),
       count(*) FILTER (WHERE (o.count, o.sum, o.min, o.max) IS DISTINCT FROM (t.count, t.sum, t.min, t.max)),
       coalesce(sum(o.count), 0), coalesce(sum(t.count), 0)
FROM ours o FULL JOIN theirs t USING (minute, currency, status);
