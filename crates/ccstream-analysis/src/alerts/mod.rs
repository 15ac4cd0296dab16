//! Raises alerts by rules: on a transaction, on the rate of transactions of a key, on their absence, or on an anomaly.
//!
//! ```text
//! alerts.toml ──> definitions ──> rules: what each remembers of its keys ──> alerts: opened, repeated, closed
//! transaction, score ──> observations ─┘            └─> parts of the state
//!                              └─> the journal, by which parts are brought up to date after a restart
//! ```
//! Everything follows from the definitions, from the transactions in their order, and from the ticks of a clock that the
//! caller passes on. What a rule remembers changes by observations alone. So the journal of them, with parts of the state
//! that were stored before, gives the same state again.

mod alert;
mod anomaly;
mod apply;
mod condition;
mod cooldown;
mod definition;
mod event;
mod head;
mod keys;
mod observation;
mod parse;
mod rate;
mod rule;
mod stored;
mod system;
mod top;
mod turn;
mod words;

pub use self::alert::{Alert, Change};
pub use self::anomaly::Anomalous;
pub use self::definition::{Definition, Kind, Limit, Severity};
pub use self::event::Event;
pub use self::observation::Observation;
pub use self::parse::parse;
pub(crate) use self::parse::severity;
pub use self::rule::{PARTS, Rule};
pub use self::system::{Sample, System};
