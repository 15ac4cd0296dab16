//! The pace of a run.

use std::time::{Duration, Instant};

use rand::SeedableRng;

use ccstream_core::generate::Pace;

/// When the next event is due.
pub(super) struct Pacer {
    pace: Pace,
    due: Instant,
    rng: rand_chacha::ChaCha8Rng,
}

impl Pacer {
    /// More than this behind its time, it goes on from now: no burst after a stall.
    const MOST_BEHIND: Duration = Duration::from_secs(1);

    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, due: Instant::now(), rng: rand_chacha::ChaCha8Rng::seed_from_u64(rand::random()) }
    }

    /// The time until the next event, which is counted as made.
    pub(super) fn wait(&mut self) -> Duration {
        if self.pace == Pace::Max {
            return Duration::ZERO;
        }
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(Self::MOST_BEHIND).unwrap_or(now));
        let wait = self.due.saturating_duration_since(now);
        self.due += self.pace.gap(&mut self.rng);
        wait
    }
}
