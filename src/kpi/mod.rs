//! KPIs that are exact and live in any slice: the rows of `orders` in memory, as dictionary-coded columns.
//!
//! ```text
//! PostgreSQL ── binary COPY ──> decode ──> columns <── file (a restart)
//!   one snapshot a refresh       follow       │
//!                                             ├─> query ─> chunk: filter, what each row adds
//!                                             │            state: totals and groups, carried forward
//! page <── NumPy <── answer <── standing <────┘                   by new rows alone
//! ```
//! All but `session`, `follow`, `trust`, `file`, `engine` and `check` is pure.

pub mod aggregate;
mod answer;
mod block;
mod buckets;
mod cards;
pub(crate) mod check;
mod chunk;
mod codes;
pub(crate) mod columns;
mod decode;
mod dictionary;
mod engine;
mod file;
mod follow;
mod groups;
mod latest;
mod multiset;
mod outcome;
mod query;
mod search;
mod seen;
mod session;
mod sketch;
mod standing;
mod state;
mod status;
mod trust;

pub use self::answer::{Answer, Keys, Place, Table, Totals};
pub use self::chunk::Figures;
pub use self::engine::{Engine, EngineConfig};
pub use self::follow::Reload;
pub use self::latest::LatestRow;
pub use self::outcome::{APPROVED, DECLINED};
pub use self::query::{AMOUNT_EDGES, By, DAY, Dimension, Filter, Grouping, Query, SECOND, Window};
pub use self::session::PartitionState;
pub use self::status::Status;
pub use self::trust::Trust;
