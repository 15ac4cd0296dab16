//! The settings of the engine of KPIs.

use std::path::PathBuf;
use std::time::Duration;

use super::{DatabaseUrl, Settings};
use crate::error::Result;
use crate::settings;

settings! {
    /// What an engine follows, and how much of it it holds.
    pub struct EngineConfig {
        /// The database, as `postgresql://user:password@host:port/database`.
        @variable("DATABASE_URL") @secret() @unset("`kafka_db` on `localhost:5434`, as `docker-compose.yml` has it")
        database_url: DatabaseUrl = DatabaseUrl::default();
        /// The greatest number of rows held, about 20 bytes each; the oldest are evicted first.
        @variable("CCSTREAM_KPI_ROWS") @range(65_536, u64::MAX)
        max_rows: usize = 20_000_000;
        /// The greatest number of bytes that rows, their names and what queries have counted take together. Beyond it the
        /// oldest rows are evicted, and the rarest names are counted together as `(others)`.
        @variable("CCSTREAM_KPI_MEMORY") @range(8 << 20, u64::MAX)
        max_bytes: usize = 1 << 30;
        /// Holds only rows of that number of days, by their own time; they are evicted in blocks of 65,536.
        @range(1, 1_000_000) @unset("all")
        max_days: Option<u32> = None;
        /// The time between two readings of the database.
        @milliseconds() @range(10, 86_400_000)
        interval: Duration = Duration::from_millis(500);
        /// Where the columns are kept, so that the next start reads only what is new.
        @unset("nowhere")
        file: Option<PathBuf> = None;
    }
}

impl EngineConfig {
    /// Errors: [`Error::Config`](crate::Error::Config) of the first setting that is not usable.
    pub fn validate(&self) -> Result<()> {
        self.check_ranges()
    }
}
