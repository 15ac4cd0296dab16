//! When each event is sent: simulated time, as it passes in real time.

use std::time::{Duration, Instant, SystemTime};

use ccstream_core::event::Micros;
use ccstream_core::generate::{Pace, World};
use ccstream_core::settings::{ProducerConfig, Speed};

/// Simulated time.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The simulated moment at which it began, and the real one.
    start: i64,
    since: Instant,
    /// Simulated seconds in a real one; None: no limit.
    speed: Option<f64>,
    /// Where simulated time may not be ahead of real time.
    clock: Option<Clock>,
    /// A simulated moment that has come: for events up to it, no clock is read.
    passed: i64,
    /// A history has been sent, or there is none.
    has_caught_up: bool,
}

impl Timeline {
    /// The time of a world's events, as a run that begins now sends them.
    pub(super) fn of(config: &ProducerConfig, world: &World) -> Self {
        let is_unpaced = config.rate == Pace::Max;
        let speed = match config.speed {
            Some(Speed(f64::INFINITY)) => None,
            Some(Speed(speed)) => Some(speed),
            None if config.start_time.is_some() && !is_unpaced => Some(1.0),
            None => None,
        };
        let follows_now = config.start_time.is_none() && !is_unpaced;
        Self {
            start: world.start.unwrap_or_default().0,
            since: Instant::now(),
            speed,
            clock: follows_now.then(Clock::new),
            passed: i64::MIN,
            has_caught_up: config.backfill.is_none(),
        }
    }

    /// How long it is until an event is due. After a stall events are late, and follow each other without a wait.
    pub(super) fn wait(&mut self, due: Micros) -> Duration {
        if due.0 <= self.passed {
            return Duration::ZERO;
        }
        let until = |micros: f64| Duration::from_secs_f64((micros / 1e6).max(0.0));
        let (mut passed, mut wait) = (i64::MAX, Duration::ZERO);
        if let Some(speed) = self.speed {
            passed = self.start + (self.since.elapsed().as_secs_f64() * speed * 1e6) as i64;
            wait = until((due.0 - passed) as f64 / speed);
        }
        if let Some(clock) = &mut self.clock {
            let now = clock.now();
            self.has_caught_up |= due.0 > now;
            passed = passed.min(now);
            wait = wait.max(until((due.0 - now) as f64));
        }
        self.passed = passed;
        wait
    }

    /// Whether events are of now, or no history is sent.
    pub(super) fn has_caught_up(&self) -> bool {
        self.has_caught_up
    }
}

/// The time of the clock on the wall, which never goes back: setting it back must not silence a producer.
#[derive(Debug)]
struct Clock {
    wall: i64,
    at: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { wall: wall(), at: Instant::now() }
    }

    fn now(&mut self) -> i64 {
        self.later_of(wall(), self.at.elapsed())
    }

    /// After the clock was set forward, or the machine slept, this time goes on from there.
    fn later_of(&mut self, wall: i64, elapsed: Duration) -> i64 {
        let steady = self.wall + elapsed.as_micros() as i64;
        if wall > steady {
            (self.wall, self.at) = (wall, self.at + elapsed);
        }
        wall.max(steady)
    }
}

/// Microseconds since 1970.
pub(super) fn wall() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64)
}

#[cfg(test)]
mod tests {
    use ccstream_core::settings::Backfill;

    use super::*;

    const NOW: Micros = Micros(1_795_342_530_000_000);

    fn waits(config: &ProducerConfig, now: Micros, after: &[i64]) -> Vec<u64> {
        let world = World { start: config.start(now), pace: config.rate, ..World::default() };
        let start = world.start.unwrap_or_default().0;
        let mut timeline = Timeline::of(config, &world);
        let seconds = |seconds: &i64| timeline.wait(Micros(start + seconds * 1_000_000)).as_secs_f64().round() as u64;
        after.iter().map(seconds).collect()
    }

    #[test]
    fn from_a_start_time_it_goes_at_its_speed() {
        let config = ProducerConfig { rate: Pace::PerSecond(1.0), start_time: Some(NOW), ..Default::default() };
        assert_eq!(waits(&config, NOW, &[0, 10, 100]), [0, 10, 100]);
        let config = ProducerConfig { speed: Some(Speed(10.0)), ..config };
        assert_eq!(waits(&config, NOW, &[0, 10, 100]), [0, 1, 10]);
        let config = ProducerConfig { speed: Some(Speed(f64::INFINITY)), ..config };
        assert_eq!(waits(&config, NOW, &[0, 10, 1_000_000]), [0, 0, 0]);
    }

    #[test]
    fn flat_out_nothing_waits() {
        let config = ProducerConfig { rate: Pace::Max, ..Default::default() };
        assert_eq!(waits(&config, NOW, &[10]), [0]);
        let config = ProducerConfig { start_time: Some(NOW), ..config };
        assert_eq!(waits(&config, NOW, &[10]), [0]);
    }

    #[test]
    fn a_history_is_sent_at_once_and_nothing_is_of_the_future() {
        let now = Micros(wall());
        let backfill = Some(Backfill::Last(3_600_000_000));
        let config = ProducerConfig { rate: Pace::PerSecond(1.0), backfill, ..Default::default() };
        assert_eq!(waits(&config, now, &[0, 3_590, 3_660]), [0, 0, 60]);
        let config = ProducerConfig { speed: Some(Speed(100.0)), ..config };
        assert_eq!(waits(&config, now, &[0, 1_000, 3_660]), [0, 10, 60]);
        let config = ProducerConfig { backfill: None, speed: None, ..config };
        assert_eq!(waits(&config, now, &[0, 5]), [0, 5]);
    }

    #[test]
    fn a_clock_that_is_set_does_not_go_back() {
        let mut clock = Clock { wall: 1_000, at: Instant::now() };
        let micros = Duration::from_micros;
        assert_eq!(clock.later_of(1_500, micros(500)), 1_500);
        assert_eq!(clock.later_of(400, micros(600)), 1_600, "set back");
        assert_eq!(clock.later_of(9_000, micros(700)), 9_000, "set forward");
        assert_eq!(clock.later_of(8_000, micros(100)), 9_100, "it goes on from there");
    }
}
