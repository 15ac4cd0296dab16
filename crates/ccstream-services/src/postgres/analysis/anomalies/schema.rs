//! This module declares the tables of anomalies.

use crate::postgres::table::{OwnColumn, Table};

/// The table of KPIs with their usual bands.
pub(in crate::postgres) const KPI_BAND: Table = Table {
    name: "kpi_band",
    comment: "ccstream: KPIs over five minutes with their usual band: all transactions and networks always, others while they \
              are outside",
    columns: &[
        OwnColumn::new("dimension", "TEXT NOT NULL").meaning("all, network, issuer, country, category or merchant"),
        OwnColumn::new("series", "TEXT NOT NULL").meaning("value of the dimension; empty for all transactions"),
        OwnColumn::new("kpi", "TEXT NOT NULL").meaning("rate, value or approval_rate"),
        OwnColumn::new("window_end", "TIMESTAMP NOT NULL").meaning("end of the five minutes, UTC, exclusive"),
        OwnColumn::new("expected", "DOUBLE PRECISION NOT NULL")
            .meaning("transactions, usual payments, or a share from 0 to 1"),
        OwnColumn::new("low", "DOUBLE PRECISION NOT NULL").meaning("lower end of the usual band"),
        OwnColumn::new("high", "DOUBLE PRECISION NOT NULL").meaning("upper end of the usual band"),
        OwnColumn::new("observed", "DOUBLE PRECISION").meaning("NULL if too little is expected to judge"),
        OwnColumn::new("deviation", "DOUBLE PRECISION NOT NULL")
            .meaning("in usual spreads; below 0 if less was observed"),
        OwnColumn::new("basis", "TEXT NOT NULL").meaning("what is expected follows from: hour, days or weeks"),
        OwnColumn::new("events", "DOUBLE PRECISION NOT NULL").meaning("number of transactions that were expected"),
        OwnColumn::new("is_anomalous", "BOOLEAN NOT NULL").meaning("whether the five minutes belong to an anomaly"),
    ],
    constraints: &["PRIMARY KEY (dimension, series, kpi, window_end)"],
    indexes: &["window_end"],
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};

/// The table that holds what is known of KPIs.
pub(in crate::postgres) const ANOMALY_STATE: Table = Table {
    name: "anomaly_state",
    comment: "ccstream: what is known of KPIs, in parts; the last part has the minutes that are not complete",
    columns: &[
        OwnColumn::new("part", "INTEGER PRIMARY KEY"),
        OwnColumn::new("seq", "BIGINT NOT NULL").meaning("place in the order, as in scores, at which it was written"),
        OwnColumn::new("data", "BYTEA NOT NULL"),
    ],
    fill: Some(|| "ALTER TABLE anomaly_state ALTER COLUMN data SET STORAGE EXTERNAL;".to_owned()),
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};

/// The table of the minutes that are not in [`ANOMALY_STATE`].
pub(in crate::postgres) const ANOMALY_JOURNAL: Table = Table {
    name: "anomaly_journal",
    comment: "ccstream: what was counted of complete minutes since the parts in anomaly_state",
    columns: &[
        OwnColumn::new("minute", "BIGINT PRIMARY KEY").meaning("minutes since 1970"),
        OwnColumn::new("data", "BYTEA NOT NULL"),
    ],
    privileges: &["SELECT", "INSERT", "DELETE"],
    ..Table::USUAL
};
