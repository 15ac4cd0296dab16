//! Commands that change a running producer's world.

use std::fmt;
use std::str::FromStr;

use super::planned_incident::PlannedIncident;

/// The smallest and the largest number of events a second.
pub const RATES: std::ops::RangeInclusive<f64> = 0.001..=10_000_000.0;

/// A command that changes the world of a running producer.
///
/// ```
/// use ccstream_core::generate::Command;
/// for text in ["rate 20", "incident issuer_out+30m:Alderbank", "incident surge@2026-12-01T10:00:00Z+2h"] {
///     assert_eq!(text.parse::<Command>().unwrap().to_string(), text);
/// }
/// assert!("rate max".parse::<Command>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// From the next event on, this is the mean number of events a second.
    Rate(f64),
    /// An incident is planned.
    Incident(PlannedIncident),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "rate {rate}"),
            Self::Incident(planned) => write!(f, "incident {planned}"),
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim_start();
        match name {
            "rate" => match rest.parse() {
                Ok(rate) if RATES.contains(&rate) => Ok(Self::Rate(rate)),
                _ => Err(format!("{rest:?} is not a number of events a second from 0.001 to 10000000")),
            },
            "incident" => PlannedIncident::from_command(rest).map(Self::Incident),
            _ => Err(format!("{name:?} is not a command; write rate N or incident KIND+DURATION")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_command_says_why() {
        for (text, part) in [
            ("", "\"\" is not a command"),
            ("stop", "\"stop\" is not a command; write rate N or incident"),
            ("rate", "\"\" is not a number"),
            ("rate 0", "\"0\" is not a number"),
            ("rate 1e9", "from 0.001 to 10000000"),
            ("rate nan", "\"nan\" is not a number"),
            ("incident", "\"\" is not KIND+DURATION"),
            ("incident surge", "\"surge\" is not KIND+DURATION"),
            ("incident flood+2h", "\"flood\" is no kind of incident"),
            ("incident surge@soon+2h", "\"soon\" is neither a moment nor a length of time"),
            ("incident issuer_out+2h:visa", "\"visa\" is no issuer"),
        ] {
            let why = text.parse::<Command>().unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert_eq!(" rate \t 2.50 ".parse::<Command>().unwrap().to_string(), "rate 2.5");
    }
}
