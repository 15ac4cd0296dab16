//! The gaps between events.

/// The gaps between events.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Gaps are random, 0.5 to 2 seconds, for a person to watch.
    Human,
    /// The mean of a week is this number of events a second; each hour has its own rate.
    PerSecond(f64),
    /// Events are sent as fast as possible. Where time is simulated, they are a millisecond apart.
    Max,
}

impl Pace {
    /// The mean number of events a second.
    pub fn per_second(self) -> f64 {
        match self {
            Self::Human => 0.8,
            Self::PerSecond(rate) => rate,
            Self::Max => 1_000.0,
        }
    }

    /// The number of cards that make two payments a day at this pace, from 5,000 to a million.
    ///
    /// At [`Pace::Max`], a test of load in which cards have no habits, it is 5,000.
    pub fn usual_cards(self) -> u32 {
        match self {
            Self::Max => 5_000,
            _ => (self.per_second() * 86_400.0 / 2.0).round().clamp(5_000.0, 1_000_000.0) as u32,
        }
    }
}
