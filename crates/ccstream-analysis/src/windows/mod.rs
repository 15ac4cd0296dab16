//! Counts transactions in windows of event time: tumbling, hopping and session windows, by any dimensions.
//!
//! ```text
//! windows.toml ──> definitions ──> window: buckets of keys ──> rows for the table, open and closed
//! transaction ──> facts ─────────────┘         └─> parts of the state
//! ```
//! Everything follows from the definitions and from the transactions in their order, so a window can be computed again
//! at any time. The watermark of a transaction is the greatest event time before it, less the lateness of the window. A
//! window is closed once the watermark has reached its end. A transaction whose window is closed does not change it, and
//! is counted as late.

mod bucket;
mod cards;
mod cell;
mod definition;
mod facts;
mod panes;
mod parse;
mod sessions;
mod stored;
mod window;

pub use self::bucket::{MAX_CELLS, Missed, WindowRow};
pub use self::cell::Totals;
pub use self::definition::{Definition, Measure, Shape};
pub use self::facts::{Facts, Fields};
pub use self::parse::parse;
pub use self::window::{BUCKETS, Event, Flushed, Part, Window};
