//! Declares the settings of the KPI engine.

use std::path::PathBuf;
use std::time::Duration;

use super::{DatabaseUrl, Settings};
use crate::error::Result;
use crate::settings;

settings! {
    /// Configures the database that an engine follows, and how many of its rows the engine holds.
    pub struct EngineConfig {
        /// The URL of the database, as `postgresql://user:password@host:port/database`.
        @variable("DATABASE_URL") @secret()
        @unset("`kafka_db` on `localhost:5434`, as in `docker-compose.yml`")
        database_url: DatabaseUrl = DatabaseUrl::default();
        /// The maximum number of rows held, about 20 bytes each; the oldest are evicted first.
        @variable("CCSTREAM_KPI_ROWS") @range(65_536, u64::MAX)
        max_rows: usize = 20_000_000;
        /// The maximum number of bytes of the rows, the names and the counts of queries together. Beyond it, the oldest
        /// rows are evicted, and the rarest names are counted together as `(others)`.
        @variable("CCSTREAM_KPI_MEMORY") @range(8 << 20, u64::MAX)
        max_bytes: usize = 1 << 30;
        /// The maximum age of rows in days, by their timestamps. Older rows are evicted in blocks of 65,536.
        @range(1, 1_000_000) @unset("all")
        max_days: Option<u32> = None;
        /// The time between two reads of the database.
        @milliseconds() @range(10, 86_400_000)
        interval: Duration = Duration::from_millis(500);
        /// The file in which the columns are saved, so that the next start reads only new rows.
        @unset("none")
        file: Option<PathBuf> = None;
    }
}

impl EngineConfig {
    /// Fails with [`Error::Config`](crate::Error::Config) if a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.check_ranges()
    }
}
