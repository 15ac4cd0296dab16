//! This part of the loop stores the state, a part at a time, beside the batches.

use std::time::{Duration, Instant};

use super::Run;
use crate::error::Result;

/// Minimum time between two snapshots.
const EVERY: Duration = Duration::from_millis(50);
/// How many bytes of the state are written in a second, and at most at once.
const RATE: usize = 4 << 20;
const MOST: usize = 1 << 20;
/// Number of events and labels during which a part of the state is written once. A recovery folds them in half a second.
const AGE: u64 = 50_000;
/// Interval after which all parts that have changed are written, however few events there were: the transactions that a
/// recovery reads again must not be so old that they were deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How far the state is stored.
pub(super) struct Stored {
    /// When the last snapshot was taken.
    last: Option<Instant>,
    /// When all parts that had changed were last stored.
    swept: Instant,
    /// The place in the order at which the present sweep began.
    sweep: Option<u64>,
    /// Whether a snapshot could not be stored. Its parts count as written, so no other may follow.
    is_broken: bool,
}

impl Default for Stored {
    fn default() -> Self {
        Self { last: None, swept: Instant::now(), sweep: None, is_broken: false }
    }
}

impl Run<'_, '_> {
    /// Takes a snapshot as of the batch that was just taken, if it is time for one. It is stored once the batch is
    /// committed.
    pub(super) fn take_snapshot(&mut self) {
        let Some(held) = self.held.as_mut().filter(|held| self.state.is_free() && !held.stored.is_broken) else {
            return;
        };
        let (now, stored) = (Instant::now(), &mut held.stored);
        let since = stored.last.map_or(EVERY, |last| now - last);
        if since < EVERY {
            return;
        }
        let most = (since.as_secs_f64() * RATE as f64) as usize;
        let seq = held.fold.state.seq();
        if stored.swept.elapsed() >= SWEEP_EVERY {
            stored.sweep.get_or_insert(seq);
        }
        // A sweep is over once no part is left that was last written before it.
        let snapshot = held.fold.snapshot(most.min(MOST), stored.sweep.map_or(AGE, |from| seq - from));
        if stored.sweep.is_some() && snapshot.changed.is_empty() {
            (stored.swept, stored.sweep) = (now, None);
        }
        stored.last = Some(now);
        held.snapshot = Some(snapshot);
    }

    /// Stores parts of the state that have changed although nothing is folded any more.
    pub(super) fn store_when_idle(&mut self) -> Result<()> {
        if self.database.is_free() && self.held.as_ref().is_some_and(|held| held.fold.batch.is_empty()) {
            self.take_snapshot();
            self.begin_snapshot()?;
        }
        Ok(())
    }

    /// Begins to store the snapshot, whose batch is committed.
    pub(super) fn begin_snapshot(&mut self) -> Result<()> {
        let writer = self.database.free()?.writer();
        let Some(held) = &mut self.held else { return Ok(()) };
        let Some(snapshot) = held.snapshot.take().filter(|snapshot| !snapshot.is_empty()) else { return Ok(()) };
        let grace = self.grace();
        self.state.begin("ccstream-state", move |thread| {
            thread.write(grace, async |store| store.write_state(writer, &snapshot).await)
        })
    }

    /// Waits until the snapshot that is being stored is there. Returns false if a stop ended that.
    pub(super) fn settle_snapshot(&mut self) -> Result<bool> {
        let Self { state, observers, waiting, .. } = self;
        let Some(stored) = state.wait(|reported| waiting.report(reported, observers)) else { return Ok(true) };
        let is_stored = matches!(stored, Ok(Some(())));
        if let Some(held) = &mut self.held {
            held.stored.is_broken |= !is_stored;
        }
        stored.map(|stored| stored.is_some())
    }

    /// Stores all parts of the state that have changed, so that the next run can begin at once.
    pub(super) fn write_state(&mut self) -> Result<()> {
        while self.settle_snapshot()? {
            let grace = self.grace();
            if grace.is_zero() {
                break;
            }
            self.database.free()?.wait_at_most(grace);
            self.renew()?;
            let Some(held) = self.held.as_mut().filter(|held| !held.stored.is_broken) else { break };
            let snapshot = held.fold.snapshot(MOST, 0);
            if snapshot.changed.is_empty() {
                break;
            }
            held.snapshot = Some(snapshot);
            self.begin_snapshot()?;
        }
        Ok(())
    }
}
