//! This module declares the tables about all windows.

use crate::postgres::table::{OwnColumn, Table};

/// The table of the windows' definitions.
pub(in crate::postgres) const WINDOWS: Table = Table {
    name: "windows",
    comment: "ccstream: the definition of each table window_<name>, and how far it has come",
    columns: &[
        OwnColumn::new("name", "TEXT PRIMARY KEY"),
        OwnColumn::new("version", "INTEGER NOT NULL").meaning("number of the definition; each change adds one"),
        OwnColumn::new("definition", "TEXT NOT NULL").meaning("the definition as in windows.toml, in full"),
        OwnColumn::new("seq", "BIGINT NOT NULL")
            .meaning("place in the order, as in scores, up to which the rows of this version are complete"),
        OwnColumn::new("counted", "BIGINT")
            .meaning("place up to which windows_late is complete; NULL while the analysis adds to it with each batch"),
        OwnColumn::new("lacking", "BIGINT NOT NULL DEFAULT 0").meaning(
            "number of scored transactions that were not in orders any more when the window was counted again",
        ),
        OwnColumn::new("replaces", "BOOLEAN NOT NULL DEFAULT false").meaning(
            "whether the table may have rows of earlier versions, which are deleted when this one is complete",
        ),
        OwnColumn::new("since", "TIMESTAMPTZ NOT NULL DEFAULT now()").meaning("when this version began"),
    ],
    fill: Some(|| "ALTER TABLE windows SET (fillfactor = 50);".to_owned()),
    ..Table::USUAL
};

/// The table of transactions that windows did not count.
pub(in crate::postgres) const WINDOWS_LATE: Table = Table {
    name: "windows_late",
    comment: "ccstream: how often a transaction was not counted in a window, by day of the transaction",
    columns: &[
        OwnColumn::new("name", "TEXT NOT NULL").meaning("as in windows"),
        OwnColumn::new("version", "INTEGER NOT NULL").meaning("as in windows"),
        OwnColumn::new("day", "DATE NOT NULL"),
        OwnColumn::new("late", "BIGINT NOT NULL")
            .meaning("because the window was closed; once for each closed window of a transaction"),
        OwnColumn::new("no_room", "BIGINT NOT NULL").meaning("because too many cells were open"),
    ],
    constraints: &["PRIMARY KEY (name, version, day)"],
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    fill: Some(|| "ALTER TABLE windows_late SET (fillfactor = 50);".to_owned()),
    ..Table::USUAL
};

/// The table that holds the open windows.
pub(in crate::postgres) const WINDOWS_STATE: Table = Table {
    name: "windows_state",
    comment: "ccstream: the open windows, from which counting continues after a restart, in parts",
    columns: &[
        OwnColumn::new("name", "TEXT NOT NULL").meaning("as in windows"),
        OwnColumn::new("part", "INTEGER NOT NULL"),
        OwnColumn::new("seq", "BIGINT NOT NULL").meaning("place in the order up to which the part is complete"),
        OwnColumn::new("reached", "BIGINT")
            .meaning("greatest time of an event up to that place, in microseconds since 1970"),
        OwnColumn::new("data", "BYTEA NOT NULL"),
    ],
    constraints: &["PRIMARY KEY (name, part)"],
    fill: Some(|| "ALTER TABLE windows_state ALTER COLUMN data SET STORAGE EXTERNAL;".to_owned()),
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};
