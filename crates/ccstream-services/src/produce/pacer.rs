//! The pace of a file's rows, whose own times are not followed.

use std::time::{Duration, Instant};

use ccstream_core::generate::Pace;

/// When the next row is due.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    due: Instant,
}

impl Pacer {
    /// Rows that are later than this are not caught up with: there is no burst after a stall.
    const MOST_BEHIND: Duration = Duration::from_secs(1);

    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, due: Instant::now() }
    }

    /// The time until the next row, which is counted as sent.
    pub(super) fn wait(&mut self) -> Duration {
        let gap = match self.pace {
            Pace::Max => return Duration::ZERO,
            Pace::Human => Duration::from_micros(rand::random_range(500_000..=2_000_000)),
            Pace::PerSecond(rate) => Duration::from_secs_f64(1.0 / rate),
        };
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(Self::MOST_BEHIND).unwrap_or(now));
        let wait = self.due.saturating_duration_since(now);
        self.due += gap;
        wait
    }
}
