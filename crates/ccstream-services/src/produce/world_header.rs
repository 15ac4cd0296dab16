//! The header that names the simulated world, and which messages have it.
//!
//! A header costs about 200 ns of processor time, which is a sixth of what the producer needs for a message as fast as
//! it can. librdkafka makes three allocations for it (the list, its array, the header) and frees them after the
//! delivery. A copy of a prepared list makes the same three, and costs the same: of two million messages to the mock
//! cluster, each took 2.0 us without a header, 2.9 us with a new list, 2.8 us with a copy (medians of four, the cluster
//! included). So a run of a bounded rate has the header on each message, and a run as fast as possible on a few.

use rdkafka::message::{Header, OwnedHeaders};

use ccstream_core::generate::{Topic, WORLD_HEADER};

/// The number of events a second up to which each message has the header. It costs 0.2 % of a processor core then.
pub(super) const MOST_A_SECOND: f64 = 10_000.0;
/// Above that rate, this number of a run's first messages to each topic have the header, so that a reader finds it at the
/// beginning of each partition. After them, one of this number has it.
const FIRST: u64 = 256;

/// The header of a run's messages.
#[derive(Debug)]
pub(super) struct WorldHeader {
    /// The world's name and version.
    world: &'static str,
    /// Whether each message has it.
    pub(super) is_on_each: bool,
    /// The number of messages to each topic.
    messages: [u64; Topic::ALL.len()],
}

impl WorldHeader {
    pub(super) fn new(world: &'static str) -> Self {
        Self { world, is_on_each: false, messages: [0; Topic::ALL.len()] }
    }

    /// Whether the next message to a topic has the header.
    pub(super) fn is_on_next(&self, topic: Topic) -> bool {
        let number = self.messages[topic as usize];
        self.is_on_each || number < FIRST || number.is_multiple_of(FIRST)
    }

    /// Counts a message.
    pub(super) fn count(&mut self, topic: Topic) {
        self.messages[topic as usize] += 1;
    }

    pub(super) fn make(&self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(1).insert(Header { key: WORLD_HEADER, value: Some(self.world) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_messages_to_each_topic_have_it_and_some_later_ones() {
        let mut header = WorldHeader::new("habits/0");
        let mut numbers = |topic, count: u64| {
            let mut is_on = |_: &u64| {
                let is_on = header.is_on_next(topic);
                header.count(topic);
                is_on
            };
            (0..count).filter(|number| is_on(number)).collect::<Vec<_>>()
        };
        let expected: Vec<u64> = (0..256).chain([256, 512, 768]).collect();
        assert_eq!(numbers(Topic::Orders, 1_000), expected);
        assert_eq!(numbers(Topic::Labels, 1_000), expected);
        header.is_on_each = true;
        assert!(header.is_on_next(Topic::Orders));
    }
}
