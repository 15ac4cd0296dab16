//! What the consumer may do next: its state, and the decisions that follow from it (pure).
//!
//! Each partition of this consumer is in one of three states:
//!
//! ```text
//!              assigned            topic's id known, taken over in PostgreSQL
//!  (another's) ─────────> arriving ──────────────────────────────────────────> reading
//!       ^                    │  ^                                                │  │
//!       │  lost              │  └── void: refused, offset gone, topic made anew ─┘  │
//!       ├────────────────────┘                                                      │
//!       └──────────── leaving <───────────────────── revoked ───────────────────────┘
//!         drained, or the drain limit is over
//! ```
//! Beside them stand four facts of the whole consumer: a batch is in flight (PostgreSQL has it; those
//! that are written at the same time count as one), fetching is paused (a batch is full and the one
//! before is in flight), PostgreSQL is away, and it is draining (what was read is written before
//! partitions are given up, or before the end).
//!
//! The *generation* counts the times that what was read before became void. A batch or take-over of
//! an earlier one is not begun any more; one that is under way is stopped by the fence in PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ccstream_core::batch::Cursor;

/// Longest wait without looking around.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Longest wait for the writer, with a batch ready, without serving the group.
const BUSY_LIMIT: Duration = Duration::from_secs(1);
/// The writer's reply does not wake a poll, so with a batch in flight polls are short.
const SHORT_POLL: Duration = Duration::from_millis(2);
/// A batch waits for this many times what the last transaction took, unless it is ample: PostgreSQL is
/// then busy a third of the time at low rates, and latency is a few commits.
const PATIENCE: u32 = 2;

/// This consumer's partitions and where each stands.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    generation: u64,
    arriving: BTreeSet<i32>,
    reading: BTreeMap<i32, Cursor>,
    leaving: BTreeSet<i32>,
    /// Read to their end at least once since they were placed.
    ended: BTreeSet<i32>,
    /// The group has answered: even with no partition, there is nothing to wait for.
    assigned: bool,
}

impl Partitions {
    /// See the module's head.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Those whose position is not known yet.
    pub(super) fn arriving(&self) -> &BTreeSet<i32> {
        &self.arriving
    }

    /// Those that are read, and where.
    pub(super) fn reading(&self) -> &BTreeMap<i32, Cursor> {
        &self.reading
    }

    /// Those that are to be given up once it is drained.
    pub(super) fn leaving(&self) -> &BTreeSet<i32> {
        &self.leaving
    }

    /// All of this consumer's, whatever their state.
    pub(super) fn all(&self) -> impl Iterator<Item = i32> {
        self.arriving.iter().chain(self.reading.keys()).copied()
    }

    /// Where a partition is read; None where it is not, and then its messages do not count.
    pub(super) fn cursor(&mut self, partition: i32) -> Option<&mut Cursor> {
        self.reading.get_mut(&partition)
    }

    /// The group gives partitions.
    pub(super) fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.assigned = true;
        for partition in partitions {
            self.reading.remove(&partition);
            self.arriving.insert(partition);
        }
    }

    /// The group wants partitions back: they are read no more, and leave once all is drained.
    pub(super) fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.leaving.extend(partitions);
        self.arriving.retain(|partition| !self.leaving.contains(partition));
    }

    /// Partitions are another's by now. What was read is void, of the kept ones too: the generation is one for all.
    pub(super) fn lose(&mut self, partitions: &[i32]) {
        self.void();
        self.arriving.retain(|partition| !partitions.contains(partition));
        self.leaving.retain(|partition| !partitions.contains(partition));
        self.assigned = !self.arriving.is_empty();
    }

    /// The leaving ones are given up. Returned for the group.
    pub(super) fn leave(&mut self) -> BTreeSet<i32> {
        // Take-overs under way are of an assignment that is gone.
        self.generation += 1;
        let gone = std::mem::take(&mut self.leaving);
        self.reading.retain(|partition, _| !gone.contains(partition));
        self.ended.retain(|partition| !gone.contains(partition));
        self.assigned = !(self.arriving.is_empty() && self.reading.is_empty());
        gone
    }

    /// What was read and is not written counts no more: every partition is positioned anew.
    pub(super) fn void(&mut self) {
        self.generation += 1;
        self.ended.clear();
        let reading = std::mem::take(&mut self.reading);
        self.arriving.extend(reading.into_keys().filter(|partition| !self.leaving.contains(partition)));
    }

    /// PostgreSQL says where partitions stand; those that were waited for, and are read from here on.
    pub(super) fn place(&mut self, cursors: impl IntoIterator<Item = (i32, Cursor)>) -> BTreeSet<i32> {
        let mut placed = BTreeSet::new();
        for (partition, cursor) in cursors {
            if self.arriving.remove(&partition) {
                self.reading.insert(partition, cursor);
                self.ended.remove(&partition);
                placed.insert(partition);
            }
        }
        placed
    }

    /// A partition was read to its end.
    pub(super) fn end(&mut self, partition: i32) {
        if self.reading.contains_key(&partition) {
            self.ended.insert(partition);
        }
    }

    /// Every partition has been read to its end once; none at all is soon read.
    pub(super) fn is_caught_up(&self) -> bool {
        self.assigned
            && self.arriving.is_empty()
            && self.leaving.is_empty()
            && self.reading.keys().all(|partition| self.ended.contains(partition))
    }
}

/// How full the batch is that is being filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Empty,
    /// Opened so long ago.
    Open(Duration),
    /// So full that more would make a row no cheaper.
    Ample,
    /// It can take no more.
    Full,
}

/// Why nothing more is read until all is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// Partitions leave.
    Leaving,
    /// The run ends.
    Stop,
}

/// All that the next step depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) fill: Fill,
    pub(super) in_flight: bool,
    pub(super) paused: bool,
    /// PostgreSQL is away.
    pub(super) away: bool,
    /// Draining, for so much longer at most.
    pub(super) drain: Option<(Drain, Duration)>,
    /// To end once caught up, and caught up.
    pub(super) at_the_end: bool,
    /// How long the last transaction took.
    pub(super) last_took: Duration,
    /// The longest that a message may wait.
    pub(super) linger: Duration,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Seal the batch and give it to the writer.
    HandOver,
    /// Wait for the writer, at most so long, without serving the group.
    Await(Duration),
    /// Stop fetching.
    Pause,
    /// Fetch again.
    Resume,
    /// Serve the group and take messages, waiting for one at most so long.
    Poll(Duration),
    /// All that was read is written.
    Drained,
    /// It will not be in time: what was read is void, and read again by whoever has the partitions.
    GiveUp,
}

/// The next step.
pub(super) fn next(view: &View) -> Step {
    if let Some((drain, left)) = view.drain {
        return match view {
            View { in_flight: false, fill: Fill::Empty, .. } => Step::Drained,
            _ if left.is_zero() => Step::GiveUp,
            // The group would wait for nothing: whoever gets the partitions reads it again.
            View { away: true, .. } if drain == Drain::Leaving => Step::GiveUp,
            View { paused: false, .. } => Step::Pause,
            View { in_flight: false, .. } => Step::HandOver,
            _ => Step::Poll(left.min(SHORT_POLL)),
        };
    }
    // What the last transaction took is part of a message's wait.
    let patience = (view.last_took * PATIENCE).min(view.linger.saturating_sub(view.last_took));
    match view {
        View { fill: Fill::Full, in_flight: true, paused: false, away: false, .. } => Step::Await(BUSY_LIMIT),
        View { fill: Fill::Full, in_flight: true, paused: true, .. } => Step::Poll(TICK),
        View { away: true, paused: false, .. } => Step::Pause,
        View { fill: Fill::Full, in_flight: false, .. } => Step::HandOver,
        View { paused: true, away: false, .. } => Step::Resume,
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
        away: false,
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
            // A batch waits twice the last transaction, or what of the linger is left.
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
            // One in flight at a time.
            (View { fill: open(90), in_flight: true, ..CALM }, Step::Poll(SHORT_POLL)),
            (View { fill: Fill::Full, ..CALM }, Step::HandOver),
            (View { fill: Fill::Full, in_flight: true, ..CALM }, Step::Await(BUSY_LIMIT)),
            (View { fill: Fill::Full, in_flight: true, paused: true, ..CALM }, Step::Poll(TICK)),
            (View { fill: Fill::Full, paused: true, ..CALM }, Step::HandOver),
            (View { in_flight: true, paused: true, ..CALM }, Step::Resume),
            // An outage: nothing is fetched, the group is served.
            (View { away: true, ..CALM }, Step::Pause),
            (View { away: true, in_flight: true, fill: open(9), ..CALM }, Step::Pause),
            (View { away: true, in_flight: true, fill: Fill::Full, ..CALM }, Step::Pause),
            (View { away: true, in_flight: true, fill: Fill::Full, paused: true, ..CALM }, Step::Poll(TICK)),
            (View { away: true, in_flight: true, fill: open(9), paused: true, ..CALM }, Step::Poll(TICK)),
        ] {
            assert_eq!(next(&view), expected, "{view:?}");
        }
    }

    #[test]
    fn steps_of_a_drain() {
        for drain in [Drain::Leaving, Drain::Stop] {
            let draining = View { drain: Some((drain, ms(500))), ..CALM };
            let late = View { drain: Some((drain, ms(0))), ..CALM };
            let away = if drain == Drain::Leaving { Step::GiveUp } else { Step::Poll(SHORT_POLL) };
            for (view, expected) in [
                (draining, Step::Drained),
                (View { away: true, ..draining }, Step::Drained),
                (late, Step::Drained),
                (View { fill: Fill::Open(ms(0)), ..draining }, Step::Pause),
                (View { fill: Fill::Open(ms(0)), paused: true, ..draining }, Step::HandOver),
                (View { fill: Fill::Ample, ..draining }, Step::Pause),
                (View { fill: Fill::Ample, paused: true, ..draining }, Step::HandOver),
                (View { fill: Fill::Full, paused: true, in_flight: true, ..draining }, Step::Poll(SHORT_POLL)),
                (View { paused: true, in_flight: true, ..draining }, Step::Poll(SHORT_POLL)),
                (View { paused: true, in_flight: true, away: true, ..draining }, away),
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
        state.place(partitions.iter().map(|partition| (*partition, at(5))));
        state
    }

    fn set(partitions: &[i32]) -> BTreeSet<i32> {
        partitions.iter().copied().collect()
    }

    fn sets(state: &Partitions) -> (BTreeSet<i32>, BTreeSet<i32>, BTreeSet<i32>) {
        (state.arriving.clone(), state.reading.keys().copied().collect(), state.leaving.clone())
    }

    #[test]
    fn a_partition_is_read_once_it_is_placed() {
        let mut state = Partitions::default();
        state.assign([0, 1]);
        assert!(state.cursor(0).is_none());
        assert_eq!(state.place([(0, at(7)), (9, at(1))]), set(&[0]));
        assert_eq!(sets(&state), (set(&[1]), set(&[0]), set(&[])));
        assert_eq!(state.cursor(0).map(|cursor| cursor.next), Some(7));
        assert_eq!(state.generation(), 0);
    }

    #[test]
    fn revoked_partitions_are_read_out_before_they_leave() {
        let mut state = reading(&[0, 1]);
        state.assign([2]);
        state.revoke([1, 2]);
        // What is fetched of 1 until librdkafka has paused it still counts.
        assert!(state.cursor(1).is_some() && state.cursor(2).is_none());
        assert_eq!(state.leave(), set(&[1, 2]));
        assert_eq!(sets(&state), (set(&[]), set(&[0]), set(&[])));
        assert_eq!(state.generation(), 1);
        assert!(state.cursor(1).is_none());
    }

    #[test]
    fn what_is_void_is_positioned_anew_and_what_leaves_is_not() {
        let mut state = reading(&[0, 1]);
        state.revoke([1]);
        state.void();
        assert_eq!(sets(&state), (set(&[0]), set(&[]), set(&[1])));
        assert_eq!(state.generation(), 1);
        assert!(state.cursor(0).is_none() && state.cursor(1).is_none());
        assert_eq!(state.leave(), set(&[1]));
        assert_eq!(sets(&state), (set(&[0]), set(&[]), set(&[])));
    }

    #[test]
    fn a_reply_to_what_is_gone_places_nothing() {
        let mut state = reading(&[0]);
        state.lose(&[0]);
        assert_eq!(state.place([(0, at(9))]), set(&[]));
        assert_eq!(sets(&state), (set(&[]), set(&[]), set(&[])));
    }

    #[test]
    fn a_loss_voids_what_was_read_of_the_others() {
        let mut state = reading(&[0, 1, 2]);
        state.revoke([2]);
        state.lose(&[1, 2]);
        assert_eq!(sets(&state), (set(&[0]), set(&[]), set(&[])));
        assert_eq!(state.generation(), 1);
    }

    #[test]
    fn caught_up() {
        let mut state = Partitions::default();
        assert!(!state.is_caught_up(), "the group has not answered");
        state.assign([]);
        assert!(state.is_caught_up(), "no partition");
        state.assign([0, 1]);
        state.place([(0, at(0)), (1, at(0))]);
        state.end(0);
        state.end(7);
        assert!(!state.is_caught_up());
        state.end(1);
        assert!(state.is_caught_up());
        state.revoke([1]);
        assert!(!state.is_caught_up(), "more may come with the next assignment");
        state.leave();
        assert!(state.is_caught_up());
        state.void();
        assert!(!state.is_caught_up());
        state.lose(&[0]);
        assert!(!state.is_caught_up(), "the group is asked again");
    }
}
