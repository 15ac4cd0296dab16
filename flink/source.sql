-- The topic. Every column is text, because a value of the wrong type must not end the job, and because a cast to
-- DECIMAL(10, 2) would round 1.005, which the consumer rejects. Invalid JSON is skipped here, and nothing counts it.
CREATE TABLE messages (
    transaction_id STRING,
    order_id STRING,
    status STRING,
    amount STRING,
    `value` STRING,
    currency STRING,
    card_token STRING,
    merchant STRING,
    country STRING,
    `timestamp` STRING,
    -- The time in UTC, to the millisecond: a rowtime has three digits at most. NULL if the text cannot be read.
    event_time AS CASE
        -- The usual form. The expressions below compile their patterns for each row, which costs a multiple.
        WHEN `timestamp` LIKE '%Z'
        THEN TRY_CAST(REPLACE(REPLACE(`timestamp`, 'T', ' '), 'Z', '') AS TIMESTAMP(3))
        -- Seconds, milliseconds, microseconds or nanoseconds since 1970: the number of digits says which.
        WHEN REGEXP(`timestamp`, '^[0-9]{10,19}([.][0-9]*)?$') THEN CAST(TO_TIMESTAMP_LTZ(CAST(FLOOR(
            TRY_CAST(`timestamp` AS DECIMAL(30, 9)) * CASE CHAR_LENGTH(SPLIT_INDEX(`timestamp`, '.', 0))
                WHEN 10 THEN 1000.000000 WHEN 12 THEN 1.000000 WHEN 13 THEN 1.000000
                WHEN 15 THEN 0.001000 WHEN 16 THEN 0.001000 WHEN 18 THEN 0.000001 WHEN 19 THEN 0.000001
            END) AS BIGINT), 3) AS TIMESTAMP(3))
        -- A date, or a date and time, with or without an offset.
        ELSE TIMESTAMPADD(MINUTE,
            -60 * COALESCE(TRY_CAST(REGEXP_EXTRACT(`timestamp`, ':[0-9.]+([+-][0-9]{2}):?([0-9]{2})?$', 1) AS INT), 0)
            - COALESCE(TRY_CAST(CONCAT(
                REGEXP_EXTRACT(`timestamp`, ':[0-9.]+([+-])[0-9]{2}:?[0-9]{2}$', 1),
                REGEXP_EXTRACT(`timestamp`, ':[0-9.]+[+-][0-9]{2}:?([0-9]{2})$', 1)) AS INT), 0),
            TRY_CAST(REGEXP_REPLACE(REPLACE(UPPER(`timestamp`), 'T', ' '),
                '(?<=:[0-9.]{2,20})(Z|[+-][0-9]{2}:?([0-9]{2})?)$', '') AS TIMESTAMP(3)))
    END,
    arrived AS PROCTIME(),
    -- A row may be late by this much and still reach the windows; flink_minute takes any. A time that is too far ahead
    -- of the clock must not move the watermark, or every later row would be late.
    WATERMARK FOR event_time AS CASE
        WHEN event_time <= CAST(CURRENT_TIMESTAMP AS TIMESTAMP(3)) + INTERVAL '48' HOUR
        THEN event_time - INTERVAL '${lateness}' SECOND
    END
) WITH (
    'connector' = 'kafka',
    'topic' = '${topic}',
    'properties.bootstrap.servers' = '${kafka}',
    'properties.group.id' = '${group}',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
);
