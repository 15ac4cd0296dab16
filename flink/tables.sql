-- PostgreSQL's side of sinks.sql. `flink.py submit` runs it.
CREATE TABLE IF NOT EXISTS flink_minute (
    minute TIMESTAMP NOT NULL,
    currency VARCHAR(3) NOT NULL,
    status VARCHAR(50) NOT NULL,
    count BIGINT NOT NULL,
    sum NUMERIC(20,2) NOT NULL,
    min NUMERIC(10,2) NOT NULL,
    max NUMERIC(10,2) NOT NULL,
    PRIMARY KEY (minute, currency, status)
);
COMMENT ON TABLE flink_minute IS
    'Flink: totals by minute (UTC), updated with each row however late; equal to kpi_minute, added up over partitions';

CREATE TABLE IF NOT EXISTS flink_tumble (
    minute TIMESTAMP NOT NULL,
    currency VARCHAR(3) NOT NULL,
    status VARCHAR(50) NOT NULL,
    count BIGINT NOT NULL,
    sum NUMERIC(20,2) NOT NULL,
    PRIMARY KEY (minute, currency, status)
);
COMMENT ON TABLE flink_tumble IS 'Flink: totals by minute from TUMBLE, without the rows that came late; for comparison';

CREATE TABLE IF NOT EXISTS flink_rolling (
    window_start TIMESTAMP NOT NULL,
    window_end TIMESTAMP NOT NULL,
    currency VARCHAR(3) NOT NULL,
    count BIGINT NOT NULL,
    rate NUMERIC(12,4) NOT NULL,
    mean NUMERIC(12,4) NOT NULL,
    cards BIGINT NOT NULL,
    approval_rate NUMERIC(5,4),
    PRIMARY KEY (window_start, currency)
);
COMMENT ON TABLE flink_rolling IS 'Flink: windows of five minutes that move by one, without the rows that came late';
COMMENT ON COLUMN flink_rolling.rate IS 'transactions a second';
COMMENT ON COLUMN flink_rolling.mean IS 'mean amount in the currency';
COMMENT ON COLUMN flink_rolling.cards IS 'number of distinct cards';
COMMENT ON COLUMN flink_rolling.approval_rate IS
    'approved share of the approved and declined; NULL if there were none';

CREATE TABLE IF NOT EXISTS flink_card_session (
    card_token VARCHAR(64) NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_end TIMESTAMP NOT NULL,
    count BIGINT NOT NULL,
    approved BIGINT NOT NULL,
    declined BIGINT NOT NULL,
    merchants BIGINT NOT NULL,
    countries BIGINT NOT NULL,
    currencies BIGINT NOT NULL,
    sum NUMERIC(20,2),
    PRIMARY KEY (card_token, window_start)
);
COMMENT ON TABLE flink_card_session IS
    'Flink: transactions of a card with at most 30 minutes between two, without the rows that came late';
COMMENT ON COLUMN flink_card_session.window_end IS '30 minutes after the last transaction';
COMMENT ON COLUMN flink_card_session.sum IS 'sum of amounts; NULL if the session has several currencies';

CREATE TABLE IF NOT EXISTS flink_alert (
    alert_id VARCHAR(80) NOT NULL PRIMARY KEY,
    kind VARCHAR(20) NOT NULL,
    card_token VARCHAR(64) NOT NULL,
    first_time TIMESTAMP NOT NULL,
    last_time TIMESTAMP NOT NULL,
    transactions BIGINT NOT NULL
);
COMMENT ON TABLE flink_alert IS
    'Flink: patterns of a card within ten minutes: velocity (five transactions), or two declined and then one approved';

-- The role that ccstream's consumer creates for the dashboard and other readers.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ccstream_reader') THEN
        GRANT SELECT ON flink_minute, flink_tumble, flink_rolling, flink_card_session, flink_alert TO ccstream_reader;
    END IF;
END
$$;
