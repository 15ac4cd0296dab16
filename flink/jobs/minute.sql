-- An updating aggregate: it has no window that closes, so a late row is added to its cell.
INSERT INTO flink_minute
SELECT FLOOR(event_time TO MINUTE), currency, status, COUNT(*), CAST(SUM(amount) AS DECIMAL(20, 2)), MIN(amount),
       MAX(amount)
FROM transactions
GROUP BY FLOOR(event_time TO MINUTE), currency, status;
