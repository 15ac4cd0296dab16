//! This module merges the partitions of a topic by event time, as Kafka Streams does within a task.
//!
//! The next event is always the oldest of the partitions' first events. Events of one partition keep their order, even
//! if their times do not. So the order is a function of the partitions' contents alone, provided that each partition
//! that has more messages is waited for. Ties are broken by the number of the partition.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ccstream_core::event::Micros;

/// Merges the lanes of a topic, one for each partition.
///
/// ```
/// use ccstream_analysis::merge::{Merge, Next};
/// use ccstream_core::event::Micros;
/// let mut merge = Merge::new(2);
/// merge.push(0, Micros(30), 'c');
/// assert!(matches!(merge.next(), Next::Wait(1)));
/// merge.push(1, Micros(10), 'a');
/// merge.push(1, Micros(20), 'b');
/// merge.set_end(1, true);
/// let mut order = String::new();
/// while let Next::Event { event, .. } = merge.next() {
///     order.push(event);
/// }
/// // Lane 0 is empty and may have more.
/// assert_eq!(order, "abc");
/// ```
#[derive(Debug)]
pub struct Merge<T> {
    lanes: Vec<Lane<T>>,
    /// The time of the first event of each lane that has one.
    heads: BinaryHeap<Reverse<(Micros, usize)>>,
    /// Number of lanes that are empty and may have more.
    open: usize,
    queued: usize,
}

#[derive(Debug)]
struct Lane<T> {
    events: VecDeque<(Micros, T)>,
    is_at_end: bool,
}

/// Tells what comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// The oldest event.
    Event {
        /// The number of its lane.
        lane: usize,
        /// Its time.
        time: Micros,
        /// The event.
        event: T,
    },
    /// A lane is empty and may have an older event. The number is of the first such lane.
    Wait(usize),
    /// All lanes are empty, and at their end.
    Nothing,
}

impl<T> Merge<T> {
    /// Creates empty lanes that are not at their end.
    pub fn new(lanes: usize) -> Self {
        let lane = || Lane { events: VecDeque::new(), is_at_end: false };
        Self {
            lanes: std::iter::repeat_with(lane).take(lanes).collect(),
            heads: BinaryHeap::new(),
            open: lanes,
            queued: 0,
        }
    }

    /// Adds an event to a lane.
    pub fn push(&mut self, lane: usize, time: Micros, event: T) {
        let Lane { events, is_at_end } = &mut self.lanes[lane];
        if events.is_empty() {
            self.heads.push(Reverse((time, lane)));
            self.open -= usize::from(!*is_at_end);
        }
        events.push_back((time, event));
        self.queued += 1;
    }

    /// Notes whether a lane is at its end: while it is, an empty lane is not waited for.
    pub fn set_end(&mut self, lane: usize, is_at_end: bool) {
        let lane = &mut self.lanes[lane];
        let was = std::mem::replace(&mut lane.is_at_end, is_at_end);
        if lane.events.is_empty() && was != is_at_end {
            self.open = if is_at_end { self.open - 1 } else { self.open + 1 };
        }
    }

    /// Returns the number of events in a lane.
    pub fn queued_in(&self, lane: usize) -> usize {
        self.lanes[lane].events.len()
    }

    /// Returns the number of events in all lanes.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Returns whether every lane has an event.
    pub fn has_all(&self) -> bool {
        self.heads.len() == self.lanes.len()
    }

    /// Returns whether a lane is empty and not at its end.
    pub fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Returns the oldest event that is there, without taking it.
    pub fn first(&self) -> Option<&T> {
        let Reverse((_, lane)) = self.heads.peek()?;
        self.lanes[*lane].events.front().map(|(_, event)| event)
    }

    /// Takes the oldest event, unless a lane must be waited for.
    #[expect(clippy::should_implement_trait, reason = "an iterator would have ended for good")]
    pub fn next(&mut self) -> Next<T> {
        if self.open > 0 {
            let is_open = |lane: &Lane<T>| lane.events.is_empty() && !lane.is_at_end;
            return Next::Wait(self.lanes.iter().position(is_open).unwrap_or_default());
        }
        self.next_now()
    }

    /// Takes the oldest event that is there, without waiting for any lane.
    pub fn next_now(&mut self) -> Next<T> {
        let Some(Reverse((time, at))) = self.heads.pop() else { return Next::Nothing };
        let lane = &mut self.lanes[at];
        let Some((_, event)) = lane.events.pop_front() else { return Next::Nothing };
        match lane.events.front() {
            Some((next, _)) => self.heads.push(Reverse((*next, at))),
            None => self.open += usize::from(!lane.is_at_end),
        }
        self.queued -= 1;
        Next::Event { lane: at, time, event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drained(merge: &mut Merge<u32>) -> Vec<(usize, u32)> {
        std::iter::from_fn(|| match merge.next() {
            Next::Event { lane, event, .. } => Some((lane, event)),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn an_empty_lane_is_waited_for_until_its_end() {
        let mut merge = Merge::new(3);
        merge.push(1, Micros(5), 1);
        merge.set_end(2, true);
        assert_eq!(merge.next(), Next::Wait(0));
        merge.set_end(0, true);
        assert_eq!(merge.next(), Next::Event { lane: 1, time: Micros(5), event: 1 });
        assert_eq!((merge.next(), merge.is_open()), (Next::Wait(1), true));
        merge.set_end(1, true);
        assert_eq!((merge.next(), merge.is_open()), (Next::Nothing, false));
        merge.set_end(1, false);
        merge.push(0, Micros(9), 2);
        assert_eq!(merge.next(), Next::Wait(1));
        assert_eq!(merge.next_now(), Next::Event { lane: 0, time: Micros(9), event: 2 });
        assert_eq!((merge.queued(), merge.queued_in(0)), (0, 0));
    }

    #[test]
    fn ties_are_broken_by_the_lane_and_lanes_keep_their_order() {
        let mut merge = Merge::new(2);
        for (lane, time, event) in [(1, 5, 1), (1, 3, 2), (1, 7, 3), (0, 5, 4), (0, 6, 5)] {
            merge.push(lane, Micros(time), event);
        }
        (0..2).for_each(|lane| merge.set_end(lane, true));
        assert_eq!(drained(&mut merge), [(0, 4), (1, 1), (1, 2), (0, 5), (1, 3)]);
    }

    proptest! {
        /// Whatever the sizes in which lanes are filled, the order is the same.
        #[test]
        fn the_order_does_not_depend_on_how_events_come(
            lanes in prop::collection::vec(prop::collection::vec(0i64..50, 0..30), 1..5),
            steps in prop::collection::vec((0usize..5, 1usize..7), 0..80),
        ) {
            let event = |lane: usize, at: usize| (lane * 1000 + at) as u32;
            let mut at_once = Merge::new(lanes.len());
            for (lane, times) in lanes.iter().enumerate() {
                for (at, time) in times.iter().enumerate() {
                    at_once.push(lane, Micros(*time), event(lane, at));
                }
                at_once.set_end(lane, true);
            }
            let expected = drained(&mut at_once);
            let (mut merge, mut filled, mut order) = (Merge::new(lanes.len()), vec![0_usize; lanes.len()], Vec::new());
            let all = (0..lanes.len()).map(|lane| (lane, usize::MAX));
            for (lane, count) in steps.into_iter().map(|(lane, count)| (lane % lanes.len(), count)).chain(all) {
                let end = lanes[lane].len().min(filled[lane].saturating_add(count));
                for (at, time) in lanes[lane].iter().enumerate().take(end).skip(filled[lane]) {
                    merge.push(lane, Micros(*time), event(lane, at));
                }
                filled[lane] = end;
                merge.set_end(lane, end == lanes[lane].len());
                order.extend(drained(&mut merge));
            }
            prop_assert_eq!(order, expected);
        }
    }
}
