//! How many events of each kind there are in a second, and how a command changes them while the generator runs.

use super::campaigns::Campaigns;
use super::command::Command;
use super::pace::Pace;
use super::purchase::Buyers;
use super::{FOLLOWING, Generator};

/// The numbers of events a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// All events.
    pub(super) all: f64,
    /// Events that belong to campaigns.
    pub(super) planted: f64,
    /// Purchases that people decide on.
    pub(super) decided: f64,
}

impl Rates {
    /// `fraud` is the share of planted frauds, and `subscribed` the number of subscriptions' payments a second.
    pub(super) fn new(all: f64, fraud: f64, subscribed: f64) -> Self {
        let planted = all * fraud * Campaigns::added();
        Self { all, planted, decided: (all - planted) / (1.0 + FOLLOWING) - subscribed }
    }

    /// The share of events that can be malformed: neither what follows a payment nor what is planted is.
    pub(super) fn spoilable(self) -> f64 {
        (self.all - self.planted) / (1.0 + FOLLOWING) / self.all
    }
}

impl Generator {
    /// Changes the world from the next event on. The error says why that is impossible, and nothing has changed then.
    ///
    /// Equal generators that get equal commands after equal numbers of messages make equal messages.
    pub fn apply(&mut self, command: &Command) -> Result<(), String> {
        match command {
            Command::Rate(rate) => {
                self.change_rate(*rate);
                Ok(())
            }
            Command::Incident(planned) => self.effects.plan(planned, self.time, &self.buyers.shops),
        }
    }

    /// Changes the number of events a second. The cards stay the same, so each makes more or fewer payments.
    fn change_rate(&mut self, per_second: f64) {
        let before = self.rates.all;
        let Buyers { population, calendar, .. } = &mut self.buyers;
        self.subscriptions.change_rate(per_second, self.time, calendar);
        self.rates = Rates::new(per_second, self.fraud, self.subscriptions.per_second());
        self.is_even = false;
        self.arrivals.change_rate(Pace::PerSecond(per_second), self.rates.decided, self.time);
        self.arrivals.advance(population, calendar, &mut self.chance);
        self.campaigns.change_rate(before / per_second, self.time);
        self.buyers.change_rate(per_second);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::generate::calendar::{DAY, HOUR};
    use crate::generate::{Message, Topic, World};
    use crate::units::Micros;

    /// 2026-06-01, a Monday.
    const MONDAY: i64 = 20_605 * DAY;

    fn generator(pace: Pace) -> Generator {
        let world = World { start: Some(Micros(MONDAY)), pace, fraud: 0.01, is_controlled: true, ..World::default() };
        Generator::new(&World { cards: Some(20_000), ..world }).unwrap()
    }

    /// Returns the messages until a time.
    fn until(generator: &mut Generator, time: i64) -> Vec<Message> {
        let (mut all, mut message) = (Vec::new(), Message::default());
        while message.due.0 < time {
            generator.next_message(&mut message);
            all.push(message.clone());
        }
        all
    }

    fn apply(generator: &mut Generator, command: &str) {
        generator.apply(&command.parse().unwrap()).unwrap();
    }

    fn events(messages: &[Message]) -> f64 {
        messages.iter().filter(|message| message.topic == Topic::Orders).count() as f64
    }

    fn frauds(messages: &[Message]) -> f64 {
        messages.iter().filter(|message| message.record.payload.starts_with(b"{\"kind\":\"fraud\"")).count() as f64
    }

    #[test]
    fn events_and_frauds_follow_the_rate() {
        for (pace, before) in [(Pace::PerSecond(0.5), 0.5), (Pace::Human, 0.8)] {
            let mut generator = generator(pace);
            let first = events(&until(&mut generator, MONDAY + 7 * DAY));
            assert!((first / (7.0 * 86_400.0 * before) - 1.0).abs() < 0.05, "{first} at {before}");
            apply(&mut generator, "rate 2");
            let second = until(&mut generator, MONDAY + 21 * DAY);
            let count = events(&second);
            assert!((count / (14.0 * 86_400.0 * 2.0) - 1.0).abs() < 0.03, "{count}");
            assert!((frauds(&second) / count / 0.01 - 1.0).abs() < 0.25, "{} of {count}", frauds(&second));
            apply(&mut generator, "rate 0.1");
            let third = events(&until(&mut generator, MONDAY + 35 * DAY));
            // Refunds of the weeks before are still due.
            assert!((third / (14.0 * 8_640.0) - 1.0).abs() < 0.5, "{third}");
            let fourth = events(&until(&mut generator, MONDAY + 63 * DAY));
            assert!((fourth / (28.0 * 8_640.0) - 1.0).abs() < 0.1, "{fourth}");
        }
    }

    #[test]
    fn equal_commands_at_equal_places_give_equal_messages() {
        let run = |commands: &[(i64, &str)]| {
            let (mut generator, mut all) = (generator(Pace::PerSecond(1.0)), Vec::new());
            for (hours, command) in commands {
                all.extend(until(&mut generator, MONDAY + hours * HOUR));
                apply(&mut generator, command);
            }
            all.extend(until(&mut generator, MONDAY + 10 * HOUR));
            all
        };
        let commands = [(1, "incident issuer_out+30m"), (2, "rate 5"), (3, "incident duplicates+1h"), (4, "rate 1")];
        let one = run(&commands);
        assert_eq!(one, run(&commands));
        for left_out in 0..commands.len() {
            let others: Vec<_> =
                commands.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, one)| *one).collect();
            assert_ne!(one, run(&others), "without {:?}", commands[left_out]);
        }
    }

    #[test]
    fn each_incident_without_a_subject_has_one_by_chance() {
        let mut generator = generator(Pace::PerSecond(2.0));
        until(&mut generator, MONDAY + HOUR);
        for _ in 0..5 {
            apply(&mut generator, "incident terminal_offline+1h");
        }
        let all = until(&mut generator, MONDAY + HOUR + HOUR / 10);
        let truths = all.iter().filter(|message| message.topic == Topic::Truth);
        let texts = truths.map(|truth| String::from_utf8_lossy(&truth.record.payload));
        let incidents: HashSet<_> = texts.filter(|text| text.contains("terminal_offline")).collect();
        assert_eq!(incidents.len(), 5, "{incidents:?}");
    }

    #[test]
    fn an_incident_begins_at_once_or_at_its_time() {
        let mut generator = generator(Pace::PerSecond(2.0));
        until(&mut generator, MONDAY + HOUR);
        apply(&mut generator, "incident issuer_out+1h:Alderbank");
        apply(&mut generator, "incident issuer_out@2h+1h:Alderbank");
        let over = "incident surge@2026-06-01T00:00:00Z+30m".parse().unwrap();
        let why = generator.apply(&over).unwrap_err();
        assert!(why.contains("would end before the next event"), "{why}");
        let (mut paid, mut declined) = ([0; 6], [0; 6]);
        for message in until(&mut generator, MONDAY + 5 * HOUR) {
            let text = String::from_utf8(message.record.payload).unwrap();
            if message.topic == Topic::Orders
                && text.contains("\"issuer\":\"Alderbank\"")
                && !text.contains("\"amount\":-")
            {
                let hour = ((message.due.0 - MONDAY) / HOUR) as usize;
                let counts = if text.contains("\"response_code\":\"91\"") { &mut declined } else { &mut paid };
                counts[hour] += 1;
            }
        }
        assert!(paid[2] > 30 && paid[4] > 30, "{paid:?}");
        assert!((paid[1], paid[3]) == (0, 0) && declined[1] > 30 && declined[3] > 30, "{paid:?} {declined:?}");
    }
}
