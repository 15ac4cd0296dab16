-- Amounts of different currencies are never added up.
INSERT INTO flink_card_session
SELECT card_token, window_start, window_end, COUNT(*), SUM(CASE WHEN approved THEN 1 ELSE 0 END),
       SUM(CASE WHEN declined THEN 1 ELSE 0 END), COUNT(DISTINCT merchant), COUNT(DISTINCT country),
       COUNT(DISTINCT currency), CASE WHEN COUNT(DISTINCT currency) = 1 THEN CAST(SUM(amount) AS DECIMAL(20, 2)) END
FROM SESSION(TABLE transactions PARTITION BY card_token, DESCRIPTOR(event_time), INTERVAL '30' MINUTE)
WHERE card_token IS NOT NULL
GROUP BY card_token, window_start, window_end;
