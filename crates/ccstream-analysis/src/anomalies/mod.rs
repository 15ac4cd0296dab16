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
