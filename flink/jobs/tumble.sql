-- Not for use: the totals of flink_minute by TUMBLE, which drops a row that comes after its window has closed.
INSERT INTO flink_tumble
SELECT window_start, currency, status, COUNT(*), CAST(SUM(amount) AS DECIMAL(20, 2))
FROM TUMBLE(TABLE transactions, DESCRIPTOR(event_time), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, currency, status;
