//! Computes the features of each transaction from the past of its card, merchant and terminal, in one pass in the order
//! of event time. This crate is pure: it has no clock and no I/O, and gives the same bits on every machine.
//!
//! ```text
//! event ──> state: card, merchant, terminal ──> features ──> rules, models ──> score
//! label ──> state: terminal                         │
//!           snapshot: buckets, text                 └─> carried: what a recovery needs of the event
//! ```
//! Each module uses only modules above it in the list below.

pub mod merge;
pub mod pending;

pub mod key;
pub(crate) mod numbers;

pub mod maturity;

pub mod event;
pub mod features;
pub mod rules;

pub mod cells;

pub(crate) mod bytes;
pub(crate) mod table;

pub(crate) mod card;
pub(crate) mod merchant;
pub(crate) mod terminal;

pub mod state;

pub mod snapshot;

pub mod models;

pub mod explain;

pub mod attribute;
pub mod segments;

pub mod toml;
pub mod windows;

pub mod anomalies;

pub mod alerts;

pub mod notify;

pub use self::event::{Carried, Event, Label};
pub use self::features::{Feature, Features, version};
pub use self::rules::Verdict;
pub use self::snapshot::{BucketId, Snapshot, SnapshotError};
pub use self::state::{Counts, Effect, Scored, Settings, State};
