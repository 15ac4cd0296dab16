//! Finds anomalies of KPIs: the rate, the value and the approval rate of transactions, over all, and by network, issuer,
//! country, category and merchant.
//!
//! ```text
//! transaction ──> open minutes ──> complete minute ──> window of five minutes ──> reading: band, anomaly
//!                                        │                 │        └─ earlier weeks, the last two hours, the spread
//!                                        └─> journal       └─> history, by day
//! ```
//! The state changes with complete minutes alone. So the journals of minutes, with parts of the state that were stored
//! before, give the same state again, bit by bit.
//!
//! For each transaction, call [`event`](Anomalies::event) with facts of a [`Fields`](crate::windows::Fields) that has
//! [`Anomalies::places`]; after each batch, [`close_minutes`](Anomalies::close_minutes) for the readings of the minutes that
//! the batch completed.
//!
//! # What has to be stored
//! | What | When | Size |
//! |---|---|---|
//! | each of [`take_journals`](Anomalies::take_journals), by its minute | with the positions of the batch that completed it | 18 bytes by series with transactions in the minute, at most 10 kB |
//! | [`open_minutes`](Anomalies::open_minutes), in place of the one before | with the positions of each batch | some 10 kB; 300 kB at most |
//! | each of [`snapshot`](Anomalies::snapshot), in place of the part with its number | from time to time, such as each hour | up to 1.5 MB for today, 0.2 MB for the last part |
//!
//! Journals, open minutes and positions of a batch are stored in one database transaction, with the readings. A snapshot is
//! stored in one with what has been taken before it, and journals up to [`complete`](Anomalies::complete) are deleted in it.
//!
//! To restore, create a state with [`new`](Anomalies::new); [`load`](Anomalies::load) all parts, in any order;
//! [`replay`](Anomalies::replay) the journals that are stored, in the order of their minutes; call `close_minutes` and drop
//! its readings, which were stored before; and [`load_open`](Anomalies::load_open) the open minutes. Then go on behind the
//! positions.

mod bound;
mod cell;
mod clock;
mod currencies;
mod history;
mod judge;
mod level;
mod measure;
mod minute;
mod open;
mod others;
mod reading;
mod scale;
mod series;
mod state;
mod stored;
mod watch;

pub use self::measure::{Basis, Dimension, Kpi};
pub use self::reading::{Reading, Turn};
pub use self::state::{Anomalies, Missed};
pub use self::stored::PARTS;

/// A minute in microseconds.
const MINUTE: i64 = 60_000_000;
