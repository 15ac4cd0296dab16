//! This part of the loop stores the state, a part at a time, beside the batches.

use std::time::{Duration, Instant};

use super::Run;
use crate::error::Result;
use crate::postgres::analysis::Snapshot;

/// Minimum time between two snapshots.
const EVERY: Duration = Duration::from_millis(50);
/// How many bytes of the state are written in a second, and at most at once.
const RATE: usize = 4 << 20;
const MOST: usize = 1 << 20;
/// Number of events and labels during which a part of the state is written once. A recovery folds so many in half a second.
const AGE: u64 = 50_000;
/// The name of the thread that writes.
const THREAD: &str = "ccstream-state";

impl Run<'_, '_> {
    /// Takes a snapshot as of the batch that was just taken, if it is time for one. It is stored once the batch is
    /// committed.
    pub(super) fn take_snapshot(&mut self) {
        let Some(held) = self.held.as_mut().filter(|_| self.state.is_free()) else { return };
        let now = Instant::now();
        let since = held.snapshot_at.map_or(EVERY, |last| now - last);
        if since >= EVERY {
            let most = (since.as_secs_f64() * RATE as f64) as usize;
            held.snapshot = Some(held.fold.snapshot(most.min(MOST), AGE));
            held.snapshot_at = Some(now);
        }
    }

    /// Begins to store the snapshot, whose batch is committed.
    pub(super) fn begin_snapshot(&mut self) -> Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Some(snapshot) = held.snapshot.take().filter(|snapshot| *snapshot != Snapshot::default()) else {
            return Ok(());
        };
        let (epoch, grace) = (held.epoch, self.config.drain_limit);
        self.state
            .begin(THREAD, move |writer| writer.write(grace, async |store| store.write_state(epoch, &snapshot).await))
    }

    /// Waits until the snapshot that is being stored is there. Returns false if it was given up because of a stop.
    pub(super) fn settle_snapshot(&mut self) -> Result<bool> {
        let Self { state, observers, waiting, .. } = self;
        match state.wait(|reported| waiting.report(reported, observers)) {
            Some(stored) => Ok(stored?.is_some()),
            None => Ok(true),
        }
    }

    /// Stores all parts of the state that have changed, so that the next run can begin at once.
    pub(super) fn write_state(&mut self) -> Result<()> {
        let began = Instant::now();
        while self.settle_snapshot()? && began.elapsed() < self.config.drain_limit {
            let Some(held) = &mut self.held else { break };
            let snapshot = held.fold.snapshot(MOST, 0);
            if snapshot.parts.is_empty() {
                break;
            }
            held.snapshot = Some(snapshot);
            self.begin_snapshot()?;
        }
        Ok(())
    }
}
