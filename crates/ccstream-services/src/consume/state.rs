//! This module holds the consumer's state and decides from it what the consumer does next. It performs no I/O.
//!
//! Each partition of this consumer is in one of three states:
//!
//! ```text
//!              assigned            topic's id known, taken over in PostgreSQL
//!  (another's) ─────────> arriving ──────────────────────────────────────────> reading
//!       ^                    │  ^                                                │  │
//!       │  lost              │  └─ reset: refused, offset gone, topic recreated ─┘  │
//!       ├────────────────────┘                                                      │
//!       └──────────── leaving <───────────────────── revoked ───────────────────────┘
//!         drained, or the drain limit was reached
//! ```
//! Four facts apply to the whole consumer:
//! - in flight: the writer has a hand-over. Batches that are written at the same time count as one.
//! - paused: nothing is fetched, because a batch is full and the previous one is still in flight, PostgreSQL is
//!   unavailable, or the consumer is draining.
//! - unavailable: PostgreSQL cannot be reached.
//! - draining: everything that was read is written before partitions leave, or before the run ends.
//!
//! The *generation* is a counter that grows whenever messages that were read must no longer be written. The writer
//! starts no batch and no take-over of an earlier generation. The fence in PostgreSQL refuses one that is already under
//! way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ccstream_core::batch::Cursor;

/// Longest wait for a message before the loop checks everything else again.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Longest wait for the writer while a full batch is ready, during which the group is not served.
const BUSY_LIMIT: Duration = Duration::from_secs(1);
/// Longest wait for a message while a batch is in flight. It is short because the writer's reply does not wake a poll.
const SHORT_POLL: Duration = Duration::from_millis(2);
/// Time that a batch is filled before it is handed over, unless it is ample, as a multiple of the last transaction's
/// duration. With 2, PostgreSQL is busy a third of the time at low rates, and the latency is that of a few commits.
const PATIENCE: u32 = 2;

/// Holds this consumer's partitions, each in its state.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    generation: u64,
    arriving: BTreeSet<i32>,
    reading: BTreeMap<i32, Cursor>,
    leaving: BTreeSet<i32>,
    /// Partitions that were read to their end at least once since their position became known.
    ended: BTreeSet<i32>,
    /// Whether the group has answered. The answer may be that this consumer gets no partition.
    assigned: bool,
}

impl Partitions {
    /// Returns the current generation, which the module's documentation explains.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the partitions whose position is not known yet.
    pub(super) fn arriving(&self) -> &BTreeSet<i32> {
        &self.arriving
    }

    /// Returns the partitions that are read, with the next offset of each.
    pub(super) fn reading(&self) -> &BTreeMap<i32, Cursor> {
        &self.reading
    }

    /// Returns the partitions that leave once the consumer has drained.
    pub(super) fn leaving(&self) -> &BTreeSet<i32> {
        &self.leaving
    }

    /// Returns all partitions that are arriving or read, which includes those that are read and leaving.
    pub(super) fn all(&self) -> impl Iterator<Item = i32> {
        self.arriving.iter().chain(self.reading.keys()).copied()
    }

    /// Returns where a partition is read. None means that it is not read, and that its messages are ignored.
    pub(super) fn cursor(&mut self, partition: i32) -> Option<&mut Cursor> {
        self.reading.get_mut(&partition)
    }

    /// Adds partitions that the group has assigned.
    pub(super) fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.assigned = true;
        for partition in partitions {
            self.reading.remove(&partition);
            self.arriving.insert(partition);
        }
    }

    /// Marks partitions that the group has revoked as leaving. They leave once the consumer has drained.
    pub(super) fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.leaving.extend(partitions);
        self.arriving.retain(|partition| !self.leaving.contains(partition));
    }

    /// Removes partitions that the group has given to others already. What was read from the remaining partitions is
    /// discarded too, because all partitions share one generation.
    pub(super) fn lose(&mut self, partitions: &[i32]) {
        self.reset();
        self.arriving.retain(|partition| !partitions.contains(partition));
        self.leaving.retain(|partition| !partitions.contains(partition));
        self.assigned = !self.arriving.is_empty();
    }

    /// Removes the leaving partitions and returns them.
    pub(super) fn leave(&mut self) -> BTreeSet<i32> {
        // A take-over that is under way may be of a partition that leaves here.
        self.generation += 1;
        let gone = std::mem::take(&mut self.leaving);
        self.reading.retain(|partition, _| !gone.contains(partition));
        self.ended.retain(|partition| !gone.contains(partition));
        self.assigned = !(self.arriving.is_empty() && self.reading.is_empty());
        gone
    }

    /// Begins a new generation: what was read and is not written is discarded, and every partition arrives again.
    pub(super) fn reset(&mut self) {
        self.generation += 1;
        self.ended.clear();
        let reading = std::mem::take(&mut self.reading);
        self.arriving.extend(reading.into_keys().filter(|partition| !self.leaving.contains(partition)));
    }

    /// Sets the positions that PostgreSQL has. Returns the partitions that were arriving and are read from now on.
    pub(super) fn position(&mut self, cursors: impl IntoIterator<Item = (i32, Cursor)>) -> BTreeSet<i32> {
        let mut positioned = BTreeSet::new();
        for (partition, cursor) in cursors {
            if self.arriving.remove(&partition) {
                self.reading.insert(partition, cursor);
                self.ended.remove(&partition);
                positioned.insert(partition);
            }
        }
        positioned
    }

    /// Notes that a partition was read to its end.
    pub(super) fn end(&mut self, partition: i32) {
        if self.reading.contains_key(&partition) {
            self.ended.insert(partition);
        }
    }

    /// Returns whether every partition has been read to its end once. A consumer to which the group has assigned no
    /// partition is caught up.
    pub(super) fn is_caught_up(&self) -> bool {
        self.assigned
            && self.arriving.is_empty()
            && self.leaving.is_empty()
            && self.reading.keys().all(|partition| self.ended.contains(partition))
    }
}

/// Tells how full the batch is that is being filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// The batch has no message.
    Empty,
    /// The batch has messages; the first came this long ago.
    Open(Duration),
    /// The batch is large enough that more messages would hardly make a row cheaper.
    Ample,
    /// The batch has reached its limit of rows or bytes.
    Full,
}

/// Tells why the consumer is draining.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// The group has revoked partitions.
    Leaving,
    /// The run ends.
    Stop,
}

/// Holds everything on which the next step depends.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) fill: Fill,
    /// Whether the writer has a hand-over.
    pub(super) in_flight: bool,
    /// Whether fetching is paused.
    pub(super) paused: bool,
    /// Whether PostgreSQL is unavailable.
    pub(super) unavailable: bool,
    /// Why the consumer is draining, with the time that is left for it. None while it reads.
    pub(super) drain: Option<(Drain, Duration)>,
    /// Whether the run is to end once it has caught up, and has caught up.
    pub(super) at_the_end: bool,
    /// How long the last transaction took.
    pub(super) last_took: Duration,
    /// How long a message may wait for its batch to be written.
    pub(super) linger: Duration,
}

/// Tells what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Seal the batch and hand it to the writer.
    HandOver,
    /// Wait for the writer, up to this duration, without serving the group.
    Await(Duration),
    /// Stop fetching.
    Pause,
    /// Fetch again.
    Resume,
    /// Serve the group and take messages, waiting up to this duration for the first.
    Poll(Duration),
    /// Everything that was read is written.
    Drained,
    /// The drain cannot finish in time. What was read is discarded, and the partitions' next owner reads it again.
    GiveUp,
}

/// Returns the next step.
pub(super) fn next(view: &View) -> Step {
    if let Some((drain, left)) = view.drain {
        return match view {
            View { in_flight: false, fill: Fill::Empty, .. } => Step::Drained,
            _ if left.is_zero() => Step::GiveUp,
            // Waiting for PostgreSQL would only delay the group: the partitions' next owner reads the messages again.
            View { unavailable: true, .. } if drain == Drain::Leaving => Step::GiveUp,
            View { paused: false, .. } => Step::Pause,
            View { in_flight: false, .. } => Step::HandOver,
            _ => Step::Poll(left.min(SHORT_POLL)),
        };
    }
    // The linger includes the transaction itself, which is expected to take as long as the last one.
    let patience = (view.last_took * PATIENCE).min(view.linger.saturating_sub(view.last_took));
    match view {
        View { fill: Fill::Full, in_flight: true, paused: false, unavailable: false, .. } => Step::Await(BUSY_LIMIT),
        View { fill: Fill::Full, in_flight: true, paused: true, .. } => Step::Poll(TICK),
        View { unavailable: true, paused: false, .. } => Step::Pause,
        View { fill: Fill::Full, in_flight: false, .. } => Step::HandOver,
        View { paused: true, unavailable: false, .. } => Step::Resume,
        View { fill: Fill::Ample, in_flight: false, .. }
        | View { fill: Fill::Open(_), in_flight: false, at_the_end: true, .. } => Step::HandOver,
        View { fill: Fill::Open(age), in_flight: false, .. } if *age >= patience => Step::HandOver,
        View { fill: Fill::Open(age), in_flight: false, .. } => Step::Poll(patience.saturating_sub(*age).min(TICK)),
        View { fill: Fill::Open(_) | Fill::Ample, in_flight: true, paused: false, .. } => Step::Poll(SHORT_POLL),
        _ => Step::Poll(TICK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const CALM: View = View {
        fill: Fill::Empty,
        in_flight: false,
        paused: false,
        unavailable: false,
        drain: None,
        at_the_end: false,
        last_took: Duration::from_millis(10),
        linger: Duration::from_millis(200),
    };

    #[test]
    fn steps() {
        let open = |age| Fill::Open(ms(age));
        for (view, expected) in [
            (CALM, Step::Poll(TICK)),
            (View { in_flight: true, ..CALM }, Step::Poll(TICK)),
            // A batch waits for twice the last transaction's duration, or for the rest of the linger if that is
            // shorter.
            (View { fill: open(0), ..CALM }, Step::Poll(ms(20))),
            (View { fill: open(19), ..CALM }, Step::Poll(ms(1))),
            (View { fill: open(20), ..CALM }, Step::HandOver),
            (View { fill: open(0), last_took: ms(100), ..CALM }, Step::Poll(ms(100))),
            (View { fill: open(0), last_took: ms(150), ..CALM }, Step::Poll(ms(50))),
            (View { fill: open(0), last_took: ms(300), ..CALM }, Step::HandOver),
            (View { fill: open(0), linger: ms(0), ..CALM }, Step::HandOver),
            (View { fill: open(0), at_the_end: true, ..CALM }, Step::HandOver),
            (View { fill: Fill::Ample, ..CALM }, Step::HandOver),
            (View { fill: Fill::Ample, in_flight: true, ..CALM }, Step::Poll(SHORT_POLL)),
            (View { fill: Fill::Ample, paused: true, ..CALM }, Step::Resume),
            // Only one hand-over is in flight at a time.
            (View { fill: open(90), in_flight: true, ..CALM }, Step::Poll(SHORT_POLL)),
            (View { fill: Fill::Full, ..CALM }, Step::HandOver),
            (View { fill: Fill::Full, in_flight: true, ..CALM }, Step::Await(BUSY_LIMIT)),
            (View { fill: Fill::Full, in_flight: true, paused: true, ..CALM }, Step::Poll(TICK)),
            (View { fill: Fill::Full, paused: true, ..CALM }, Step::HandOver),
            (View { in_flight: true, paused: true, ..CALM }, Step::Resume),
            // During an outage nothing is fetched, but the group is served.
            (View { unavailable: true, ..CALM }, Step::Pause),
            (View { unavailable: true, in_flight: true, fill: open(9), ..CALM }, Step::Pause),
            (View { unavailable: true, in_flight: true, fill: Fill::Full, ..CALM }, Step::Pause),
            (View { unavailable: true, in_flight: true, fill: Fill::Full, paused: true, ..CALM }, Step::Poll(TICK)),
            (View { unavailable: true, in_flight: true, fill: open(9), paused: true, ..CALM }, Step::Poll(TICK)),
        ] {
            assert_eq!(next(&view), expected, "{view:?}");
        }
    }

    #[test]
    fn steps_of_a_drain() {
        for drain in [Drain::Leaving, Drain::Stop] {
            let draining = View { drain: Some((drain, ms(500))), ..CALM };
            let late = View { drain: Some((drain, ms(0))), ..CALM };
            let unavailable = if drain == Drain::Leaving { Step::GiveUp } else { Step::Poll(SHORT_POLL) };
            for (view, expected) in [
                (draining, Step::Drained),
                (View { unavailable: true, ..draining }, Step::Drained),
                (late, Step::Drained),
                (View { fill: Fill::Open(ms(0)), ..draining }, Step::Pause),
                (View { fill: Fill::Open(ms(0)), paused: true, ..draining }, Step::HandOver),
                (View { fill: Fill::Ample, ..draining }, Step::Pause),
                (View { fill: Fill::Ample, paused: true, ..draining }, Step::HandOver),
                (View { fill: Fill::Full, paused: true, in_flight: true, ..draining }, Step::Poll(SHORT_POLL)),
                (View { paused: true, in_flight: true, ..draining }, Step::Poll(SHORT_POLL)),
                (View { paused: true, in_flight: true, unavailable: true, ..draining }, unavailable),
                (View { in_flight: true, ..late }, Step::GiveUp),
                (View { fill: Fill::Open(ms(0)), ..late }, Step::GiveUp),
            ] {
                assert_eq!(next(&view), expected, "{view:?}");
            }
        }
    }

    fn at(next: i64) -> Cursor {
        Cursor { epoch: 1, next }
    }

    fn reading(partitions: &[i32]) -> Partitions {
        let mut state = Partitions::default();
        state.assign(partitions.iter().copied());
        state.position(partitions.iter().map(|partition| (*partition, at(5))));
        state
    }

    fn set(partitions: &[i32]) -> BTreeSet<i32> {
        partitions.iter().copied().collect()
    }

    fn sets(state: &Partitions) -> (BTreeSet<i32>, BTreeSet<i32>, BTreeSet<i32>) {
        (state.arriving.clone(), state.reading.keys().copied().collect(), state.leaving.clone())
    }

    #[test]
    fn a_partition_is_read_once_its_position_is_known() {
        let mut state = Partitions::default();
        state.assign([0, 1]);
        assert!(state.cursor(0).is_none());
        assert_eq!(state.position([(0, at(7)), (9, at(1))]), set(&[0]));
        assert_eq!(sets(&state), (set(&[1]), set(&[0]), set(&[])));
        assert_eq!(state.cursor(0).map(|cursor| cursor.next), Some(7));
        assert_eq!(state.generation(), 0);
    }

    #[test]
    fn revoked_partitions_are_drained_before_they_leave() {
        let mut state = reading(&[0, 1]);
        state.assign([2]);
        state.revoke([1, 2]);
        // Messages of partition 1 that were fetched before librdkafka paused it still count.
        assert!(state.cursor(1).is_some() && state.cursor(2).is_none());
        assert_eq!(state.leave(), set(&[1, 2]));
        assert_eq!(sets(&state), (set(&[]), set(&[0]), set(&[])));
        assert_eq!(state.generation(), 1);
        assert!(state.cursor(1).is_none());
    }

    #[test]
    fn a_reset_makes_all_partitions_arrive_except_leaving_ones() {
        let mut state = reading(&[0, 1]);
        state.revoke([1]);
        state.reset();
        assert_eq!(sets(&state), (set(&[0]), set(&[]), set(&[1])));
        assert_eq!(state.generation(), 1);
        assert!(state.cursor(0).is_none() && state.cursor(1).is_none());
        assert_eq!(state.leave(), set(&[1]));
        assert_eq!(sets(&state), (set(&[0]), set(&[]), set(&[])));
    }

    #[test]
    fn a_position_of_a_lost_partition_is_ignored() {
        let mut state = reading(&[0]);
        state.lose(&[0]);
        assert_eq!(state.position([(0, at(9))]), set(&[]));
        assert_eq!(sets(&state), (set(&[]), set(&[]), set(&[])));
    }

    #[test]
    fn a_loss_resets_the_remaining_partitions() {
        let mut state = reading(&[0, 1, 2]);
        state.revoke([2]);
        state.lose(&[1, 2]);
        assert_eq!(sets(&state), (set(&[0]), set(&[]), set(&[])));
        assert_eq!(state.generation(), 1);
    }

    #[test]
    fn the_consumer_is_caught_up_once_every_partition_was_read_to_its_end() {
        let mut state = Partitions::default();
        assert!(!state.is_caught_up(), "the group has not answered");
        state.assign([]);
        assert!(state.is_caught_up(), "no partition");
        state.assign([0, 1]);
        state.position([(0, at(0)), (1, at(0))]);
        state.end(0);
        state.end(7);
        assert!(!state.is_caught_up());
        state.end(1);
        assert!(state.is_caught_up());
        state.revoke([1]);
        assert!(!state.is_caught_up(), "the next assignment may bring more partitions");
        state.leave();
        assert!(state.is_caught_up());
        state.reset();
        assert!(!state.is_caught_up());
        state.lose(&[0]);
        assert!(!state.is_caught_up(), "the group is asked again");
    }
}
