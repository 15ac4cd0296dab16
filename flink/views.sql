-- What the consumer would store: valid, and each id once. The rules are those of docs/data.md that a clean sender can
-- break; docs/flink.md lists the others.
CREATE VIEW valid AS
SELECT
    COALESCE(transaction_id, order_id) AS id,
    event_time,
    arrived,
    TRY_CAST(COALESCE(amount, `value`) AS DECIMAL(10, 2)) AS amount,
    CASE WHEN REGEXP(currency, '^[A-Za-z]{3}$') THEN UPPER(currency) ELSE '' END AS currency,
    COALESCE(status, '') AS status,
    LOWER(status) IN (${approved}) AS approved,
    LOWER(status) IN (${declined}) AS declined,
    card_token,
    merchant,
    country
FROM messages
WHERE CHAR_LENGTH(COALESCE(transaction_id, order_id)) BETWEEN 1 AND 50
  AND COALESCE(transaction_id = order_id, TRUE)
  -- This also leaves out a time that cannot be read. Each use of event_time here costs another reading of the text.
  AND event_time <= CAST(CURRENT_TIMESTAMP AS TIMESTAMP(3)) + INTERVAL '48' HOUR
  -- An amount with more than two decimals is not rounded but left out.
  AND TRY_CAST(COALESCE(amount, `value`) AS DECIMAL(10, 2)) = TRY_CAST(COALESCE(amount, `value`) AS DECIMAL(38, 18))
  AND (amount IS NULL OR `value` IS NULL OR amount = `value`)
  AND (currency IS NULL OR CHAR_LENGTH(currency) BETWEEN 1 AND 3)
  AND (status IS NULL OR CHAR_LENGTH(status) <= 50)
  AND (card_token IS NULL OR CHAR_LENGTH(card_token) <= 64);

-- The first message of each id. The order of arrival makes this a stream of inserts, which windows need.
CREATE VIEW transactions AS
SELECT id, event_time, amount, currency, status, approved, declined, card_token, merchant, country
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY arrived) AS copy FROM valid)
WHERE copy = 1 AND event_time >= TIMESTAMP '1970-01-01 00:00:00';

-- Velocity: five transactions of a card within ten minutes. Declined, declined, approved: of one card within ten
-- minutes, as when a thief tries amounts until one passes.
CREATE VIEW alerts AS
SELECT CONCAT('velocity:', last_id) AS alert_id, 'velocity' AS kind, card_token, first_time, last_time, transactions
FROM transactions MATCH_RECOGNIZE (
    PARTITION BY card_token ORDER BY event_time
    MEASURES FIRST(A.event_time) AS first_time, LAST(A.event_time) AS last_time, LAST(A.id) AS last_id,
             COUNT(A.id) AS transactions
    ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
    PATTERN (A{5}) WITHIN INTERVAL '10' MINUTE
    DEFINE A AS A.card_token IS NOT NULL
)
UNION ALL
SELECT CONCAT('declined-approved:', last_id), 'declined-approved', card_token, first_time, last_time, CAST(3 AS BIGINT)
FROM transactions MATCH_RECOGNIZE (
    PARTITION BY card_token ORDER BY event_time
    MEASURES FIRST(D.event_time) AS first_time, A.event_time AS last_time, A.id AS last_id
    ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
    PATTERN (D{2} A) WITHIN INTERVAL '10' MINUTE
    DEFINE D AS D.declined AND D.card_token IS NOT NULL, A AS A.approved
);
