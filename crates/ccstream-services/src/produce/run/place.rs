//! The place in the stream at which commands take effect.

use ccstream_core::generate::Topic;

/// A place among the generated messages.
///
/// Commands are recorded with a number of events, so each number must name one place: that after the event and what
/// follows it at once. Labels, and the truth about an event that is sent later, come after that place.
#[derive(Debug)]
pub(super) struct Place {
    /// The number of generated events that were sent.
    pub(super) events: u64,
    /// Commands may take effect here.
    pub(super) is_open: bool,
}

impl Place {
    /// The place before the first message.
    pub(super) const START: Self = Self { events: 0, is_open: true };

    /// Goes on past a message. `is_pending`: it follows the message before it at once.
    pub(super) fn pass(&mut self, topic: Topic, is_pending: bool) {
        match topic {
            Topic::Orders => *self = Self { events: self.events + 1, is_open: true },
            Topic::Labels | Topic::Truth => self.is_open &= is_pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use ccstream_core::event::Micros;
    use ccstream_core::generate::{Generator, LabelDelay, Message, Pace, World};

    use super::*;

    #[test]
    fn a_number_of_events_names_one_place() {
        let incidents = ["slow_processor@1m+1h", "duplicates@1m+1h"].map(|text| text.parse().unwrap()).to_vec();
        let world = World {
            start: Some(Micros(1_795_342_530_000_000)),
            pace: Pace::PerSecond(5.0),
            fraud: 0.1,
            label_delay: LabelDelay::Fixed(60_000_000),
            incidents,
            ..World::default()
        };
        let (mut generator, mut message) = (Generator::new(&world).unwrap(), Message::default());
        let (mut place, mut open) = (Place::START, Vec::new());
        while place.events < 10_000 {
            let is_pending = generator.has_pending();
            if !is_pending && place.is_open {
                open.push(place.events);
            }
            generator.next_message(&mut message);
            place.pass(message.topic, is_pending);
        }
        assert!(open.is_sorted_by(|one, next| one < next), "a number has two places");
        // Between two messages that are due at the same time there is none.
        assert!(open.len() > 8_000, "{} places", open.len());
    }
}
