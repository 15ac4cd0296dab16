//! KPIs that are exact and live in any slice: the rows of `orders` in memory, as dictionary-coded columns. Nothing here
//! talks to a service; whoever has rows (`ccstream-services`' live engine) feeds them in.
//!
//! ```text
//! binary COPY ──> rows: decode ─> columns
//!                                   │
//!                                   ├─> query: chunk: filter, what each row adds
//!                                   │          state: totals and groups, carried forward by new rows alone
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
