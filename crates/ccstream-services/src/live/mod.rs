//! The engine holds the rows of `orders` in memory, follows the table, and answers queries from memory.
//!
//! ```text
//! PostgreSQL ── binary COPY ──> follow ─> ccstream_kpi's columns <── file (a restart)
//!   one snapshot a refresh                      │
//! page <────────────────── engine <── answers ──┘
//! ```

pub(crate) mod check;
mod engine;
mod file;
mod follow;
mod search;
mod seen;
mod segments;
mod snapshot;
mod status;
mod trust;

pub use self::engine::Engine;
pub use self::follow::Reload;
pub use self::snapshot::PartitionState;
pub use self::status::Status;
pub use self::trust::Trust;
