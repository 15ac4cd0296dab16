//! Whether a client stands still though Kafka answers.
//!
//! An idempotent client of librdkafka has been seen to send nothing more for good after its broker was killed and its
//! line cut again and again: until each message's timeout, and with a status that looks like a broker that is away.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Answers one after the other that it takes: the first of a broker that has just come back says little.
const ANSWERS: u32 = 3;
/// Parts of the limit from one question to the next.
const QUESTIONS: u32 = 6;

/// What was acknowledged last, and what Kafka has answered since.
pub(super) struct Stall {
    limit: Duration,
    acknowledged: u64,
    since: Instant,
    asked: Instant,
    asking: Option<JoinHandle<bool>>,
    answers: u32,
}

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self { limit, acknowledged: 0, since: now, asked: now, asking: None, answers: 0 }
    }

    /// Whether nothing of what is under way was acknowledged for the limit, and Kafka answered all along after that.
    /// True once: then something has to be acknowledged first, or nothing to be under way.
    ///
    /// `ask` makes what finds out whether Kafka answers another client, on a thread of its own.
    pub(super) fn is_one<A>(&mut self, acknowledged: u64, under_way: bool, ask: impl FnOnce() -> A) -> bool
    where
        A: FnOnce() -> bool + Send + 'static,
    {
        if acknowledged != self.acknowledged || !under_way {
            *self = Self { acknowledged, ..Self::new(self.limit) };
            return false;
        }
        if self.answers == ANSWERS || self.since.elapsed() < self.limit {
            return false;
        }
        if self.asking.as_ref().is_some_and(JoinHandle::is_finished) {
            let answered = self.asking.take().is_some_and(|asking| asking.join().unwrap_or(false));
            self.answers = if answered { self.answers + 1 } else { 0 };
            self.asked = Instant::now();
        } else if self.asking.is_none() && self.asked.elapsed() >= self.limit / QUESTIONS {
            self.asking = Some(thread::spawn(ask()));
        }
        self.answers == ANSWERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(60);

    /// Whether it is found to stand still within so many limits.
    fn found(stall: &mut Stall, acknowledged: u64, answers: bool, limits: u32) -> bool {
        let until = Instant::now() + LIMIT * limits;
        while Instant::now() < until {
            if stall.is_one(acknowledged, true, || move || answers) {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        false
    }

    #[test]
    fn it_is_one_only_where_kafka_answers_and_once_until_something_is_acknowledged() {
        let mut stall = Stall::new(LIMIT);
        assert!(!found(&mut stall, 0, false, 5), "a broker that is away");
        assert!(found(&mut stall, 0, true, 100));
        assert!(!found(&mut stall, 0, true, 5), "again, with nothing acknowledged between");
        assert!(found(&mut stall, 1, true, 100));
        for acknowledged in 2..200 {
            thread::sleep(Duration::from_millis(1));
            assert!(!stall.is_one(acknowledged, true, || || true), "it gets on");
        }
        for _ in 0..200 {
            thread::sleep(Duration::from_millis(1));
            assert!(!stall.is_one(199, false, || || true), "nothing is under way");
        }
    }
}
