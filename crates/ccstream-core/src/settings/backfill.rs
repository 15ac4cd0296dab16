//! When a simulated stream begins, and how fast its time goes.

use std::str::FromStr;

use super::value::{Kind, SettingType, Value};
use crate::error::{Error, Result};
use crate::generate::LabelDelay;
use crate::units::{Micros, length_of_time};
use crate::validate::parse_moment;

/// The beginning of a history that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfill {
    /// This number of microseconds ago.
    Last(i64),
    /// At a moment.
    Since(Micros),
}

impl Backfill {
    /// The moment at which the history begins.
    ///
    /// ```
    /// use ccstream_core::event::Micros;
    /// use ccstream_core::settings::Backfill;
    /// let now = Micros(1_795_342_530_000_000);
    /// assert_eq!("90m".parse::<Backfill>().unwrap().start(now), Micros(now.0 - 90 * 60_000_000));
    /// assert!("7 apples".parse::<Backfill>().is_err());
    /// ```
    pub fn start(self, now: Micros) -> Micros {
        match self {
            Self::Last(micros) => Micros(now.0 - micros),
            Self::Since(moment) => moment,
        }
    }
}

impl FromStr for Backfill {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match (length_of_time(text), parse_moment(text)) {
            (Some(micros), _) => Ok(Self::Last(micros)),
            (None, Ok(moment)) => Ok(Self::Since(moment)),
            (None, Err(_)) => Err(format!("{text:?} is neither a length of time, such as 7d or 12h, nor a date")),
        }
    }
}

impl FromStr for LabelDelay {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once(':').and_then(|(kind, time)| Some((kind, length_of_time(time)?)));
        match parts {
            Some(("fixed", micros)) => Ok(Self::Fixed(micros)),
            Some(("lognormal", micros)) => Ok(Self::LogNormal(micros)),
            _ => Err(format!("{text:?} is neither fixed:TIME nor lognormal:TIME, with a time such as 7d or 12h")),
        }
    }
}

impl SettingType for LabelDelay {
    const KIND: Kind = Kind::Text;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        String::from_value(name, value)?.parse().map_err(|why: String| Error::config(name, why))
    }
    fn to_value(&self) -> Option<Value> {
        None
    }
}

impl SettingType for Backfill {
    const KIND: Kind = Kind::Text;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        String::from_value(name, value)?.parse().map_err(|why: String| Error::config(name, why))
    }
    fn to_value(&self) -> Option<Value> {
        None
    }
}

/// Simulated seconds that pass in a real one; infinity is as many as can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(pub f64);

impl SettingType for Speed {
    const KIND: Kind = Kind::Rate;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        match value {
            Value::Rate(speed) => Ok(Self(speed)),
            other => Err(Error::config(name, format!("{} is not a number", other.text(false)))),
        }
    }
    fn to_value(&self) -> Option<Value> {
        Some(Value::Rate(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_labels() {
        let day = 86_400_000_000;
        assert_eq!("fixed:7d".parse(), Ok(LabelDelay::Fixed(7 * day)));
        assert_eq!("lognormal:24h".parse(), Ok(LabelDelay::LogNormal(day)));
        for wrong in ["7d", "fixed", "fixed:", "normal:7d", "fixed:-1d", ""] {
            assert!(wrong.parse::<LabelDelay>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_and_moments() {
        let now = Micros(1_795_342_530_000_000);
        let start = |text: &str| text.parse::<Backfill>().map(|backfill| backfill.start(now).0);
        assert_eq!(start("7d"), Ok(now.0 - 7 * 86_400_000_000));
        assert_eq!(start("2w"), start("14d"));
        assert_eq!(start("1970-01-02"), Ok(86_400_000_000));
        for wrong in ["", "d", "-1d", "0d", "7", "soon", "99999999999999999d"] {
            assert!(start(wrong).is_err(), "{wrong}");
        }
    }
}
