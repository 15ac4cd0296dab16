//! Computes exact KPIs of any slice of `orders`. The rows are held in memory as dictionary-coded columns. This crate
//! contacts no service: the live engine in `ccstream-services` reads the rows and adds them.
//!
//! ```text
//! binary COPY ──> rows: decode ─> columns
//!                                   │
//!                                   ├─> query: chunk: the filter, and the figures of each row
//!                                   │          state: totals and groups, updated from new rows only
//!                   answer <── kept queries <────┘
//! ```

pub mod rows;

pub mod query;

pub use self::query::answer::{Answer, Keys, Place, Table, Totals};
pub use self::query::chunk::Figures;
pub use self::query::latest::LatestRow;
pub use self::query::offsets::Offsets;
pub use self::query::question::{AMOUNT_EDGES, By, Dimension, Filter, Grouping, Query, Window};
pub use self::rows::codes::{DAY, SECOND};
pub use self::rows::outcome::{APPROVED, DECLINED};
