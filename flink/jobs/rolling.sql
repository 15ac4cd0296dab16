INSERT INTO flink_rolling
SELECT window_start, window_end, currency, COUNT(*), CAST(COUNT(*) / 300.0 AS DECIMAL(12, 4)),
       CAST(AVG(CAST(amount AS DECIMAL(28, 8))) AS DECIMAL(12, 4)), COUNT(DISTINCT card_token),
       -- The twelve digits keep the division from rounding before the cast does.
       CAST(CAST(SUM(CASE WHEN approved THEN 1 ELSE 0 END) AS DECIMAL(20, 12))
            / NULLIF(SUM(CASE WHEN approved OR declined THEN 1 ELSE 0 END), 0) AS DECIMAL(5, 4))
FROM HOP(TABLE transactions, DESCRIPTOR(event_time), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)
GROUP BY window_start, window_end, currency;
