-- The tables of tables.sql. A primary key makes each write an upsert, so that writing a row once more after a restart changes nothing.
CREATE TABLE flink_minute (
    `minute` TIMESTAMP(3),
    currency STRING,
    status STRING,
    `count` BIGINT,
    `sum` DECIMAL(20, 2),
    `min` DECIMAL(10, 2),
    `max` DECIMAL(10, 2),
    PRIMARY KEY (`minute`, currency, status) NOT ENFORCED
) WITH (${sink}, 'table-name' = 'flink_minute');

CREATE TABLE flink_tumble (
    `minute` TIMESTAMP(3),
    currency STRING,
    status STRING,
    `count` BIGINT,
    `sum` DECIMAL(20, 2),
    PRIMARY KEY (`minute`, currency, status) NOT ENFORCED
) WITH (${sink}, 'table-name' = 'flink_tumble');

CREATE TABLE flink_rolling (
    window_start TIMESTAMP(3),
    window_end TIMESTAMP(3),
    currency STRING,
    `count` BIGINT,
    rate DECIMAL(12, 4),
    mean DECIMAL(12, 4),
    cards BIGINT,
    approval_rate DECIMAL(5, 4),
    PRIMARY KEY (window_start, currency) NOT ENFORCED
) WITH (${sink}, 'table-name' = 'flink_rolling');

CREATE TABLE flink_card_session (
    card_token STRING,
    window_start TIMESTAMP(3),
    window_end TIMESTAMP(3),
    `count` BIGINT,
    approved BIGINT,
    declined BIGINT,
    merchants BIGINT,
    countries BIGINT,
    currencies BIGINT,
    `sum` DECIMAL(20, 2),
    PRIMARY KEY (card_token, window_start) NOT ENFORCED
) WITH (${sink}, 'table-name' = 'flink_card_session');

CREATE TABLE flink_alert (
    alert_id STRING,
    kind STRING,
    card_token STRING,
    first_time TIMESTAMP(3),
    last_time TIMESTAMP(3),
    transactions BIGINT,
    PRIMARY KEY (alert_id) NOT ENFORCED
) WITH (${sink}, 'table-name' = 'flink_alert');

-- The same alerts for other programs. After a restart, Flink can send an alert twice, with the same alert_id.
CREATE TABLE alert_topic (
    alert_id STRING,
    kind STRING,
    card_token STRING,
    first_time TIMESTAMP(3),
    last_time TIMESTAMP(3),
    transactions BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = '${alert_topic}',
    'properties.bootstrap.servers' = '${kafka}',
    'key.format' = 'raw',
    'key.fields' = 'card_token',
    'value.format' = 'json'
);
