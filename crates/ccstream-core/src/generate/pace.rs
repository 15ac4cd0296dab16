//! How far apart events are.

/// How far apart events are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A random 0.5 to 2 seconds, for a person to watch.
    Human,
    /// This number of events a second, as the mean of a week: each hour has its own rate.
    PerSecond(f64),
    /// As fast as they can be sent; where time is simulated, a thousand a second, evenly.
    Max,
}

impl Pace {
    /// Events a second, on average.
    pub fn per_second(self) -> f64 {
        match self {
            Self::Human => 0.8,
            Self::PerSecond(rate) => rate,
            Self::Max => 1_000.0,
        }
    }

    /// The number of cards that make two payments a day at this pace, from 5,000 to a million.
    ///
    /// At [`Pace::Max`] it is 5,000: a test of load, in which no card has habits.
    pub fn usual_cards(self) -> u32 {
        match self {
            Self::Max => 5_000,
            _ => (self.per_second() * 86_400.0 / 2.0).round().clamp(5_000.0, 1_000_000.0) as u32,
        }
    }
}
