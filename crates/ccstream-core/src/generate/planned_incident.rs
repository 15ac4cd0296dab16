//! An incident as `--incident` plans it.

use std::str::FromStr;

use super::cards::{ISSUERS, NETWORKS};
use super::incidents::{About, IncidentKind, issuer, network};
use super::merchants::Shops;
use crate::units::{Micros, length_of_time};
use crate::validate::parse_moment;

/// When what is planned begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    At(Micros),
    /// This number of microseconds after the first event's time.
    After(i64),
}

impl Begin {
    /// The time in a stream whose first event is at `start`.
    pub(super) fn in_stream(self, start: i64) -> i64 {
        match self {
            Self::At(moment) => moment.0,
            Self::After(micros) => start.saturating_add(micros),
        }
    }
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(time: &str) -> Result<Self, String> {
        match (length_of_time(time), parse_moment(time)) {
            (Some(micros), _) => Ok(Self::After(micros)),
            (None, Ok(moment)) => Ok(Self::At(moment)),
            (None, Err(_)) => {
                Err(format!("{time:?} is neither a moment nor a length of time after the first event, such as 2h"))
            }
        }
    }
}

/// An incident as `--incident` plans it: `KIND@TIME+DURATION`, and `:SUBJECT` after it.
///
/// ```
/// use ccstream_core::generate::PlannedIncident;
/// let planned: PlannedIncident = "issuer_out@2026-12-01T10:00:00Z+90m:Alderbank".parse().unwrap();
/// assert_eq!(planned.to_string(), "issuer_out@2026-12-01T10:00:00Z+90m:Alderbank");
/// assert!("issuer_out@2026-12-01T10:00:00Z".parse::<PlannedIncident>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedIncident {
    text: String,
    pub(super) kind: IncidentKind,
    pub(super) begin: Begin,
    /// In microseconds.
    pub(super) duration: i64,
    pub(super) subject: Option<String>,
}

impl std::fmt::Display for PlannedIncident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PlannedIncident {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "{text:?} is not KIND@TIME+DURATION, or KIND@TIME+DURATION:SUBJECT, as surge@2026-12-01T10:00:00Z+2h"
            )
        };
        let (name, rest) = text.split_once('@').ok_or_else(form)?;
        let kind = kind(name)?;
        let (time, duration, subject) = parts(rest).ok_or_else(form)?;
        let begin = time.parse()?;
        let planned = Self { text: text.into(), kind, begin, duration, subject: subject.map(str::to_owned) };
        planned.check_subject()?;
        Ok(planned)
    }
}

fn kind(name: &str) -> Result<IncidentKind, String> {
    IncidentKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let all = IncidentKind::ALL.map(IncidentKind::name).join(", ");
        format!("{name:?} is no kind of incident; it is one of {all}")
    })
}

/// The duration, and the subject if there is one.
fn duration(text: &str) -> Option<(i64, Option<&str>)> {
    let (duration, subject) = match text.split_once(':') {
        Some((duration, subject)) => (duration, Some(subject)),
        None => (text, None),
    };
    Some((length_of_time(duration)?, subject))
}

/// The time, the duration, and the subject if there is one. A plus before an offset from UTC does not begin a duration.
fn parts(rest: &str) -> Option<(&str, i64, Option<&str>)> {
    rest.match_indices('+').find_map(|(at, _)| {
        let (duration, subject) = duration(&rest[at + 1..])?;
        Some((&rest[..at], duration, subject))
    })
}

impl PlannedIncident {
    /// Reads an incident of a command, which may leave out the time: it then begins at once. A length of time is after the
    /// command.
    pub(super) fn from_command(text: &str) -> Result<Self, String> {
        if text.find('@').is_some_and(|at| !text[..at].contains('+')) {
            return text.parse();
        }
        let form = || format!("{text:?} is not KIND+DURATION, or KIND+DURATION:SUBJECT, as surge+2h");
        let (name, rest) = text.split_once('+').ok_or_else(form)?;
        let kind = kind(name)?;
        let (duration, subject) = duration(rest).ok_or_else(form)?;
        let subject = subject.map(str::to_owned);
        let planned = Self { text: text.into(), kind, begin: Begin::After(0), duration, subject };
        planned.check_subject()?;
        Ok(planned)
    }

    fn check_subject(&self) -> Result<(), String> {
        let Some(subject) = &self.subject else { return Ok(()) };
        let name = self.kind.name();
        match self.kind.about() {
            About::Issuer if issuer(subject).is_none() => Err(format!(
                "{subject:?} is no issuer of the simulated world; {name} is about one of {}",
                ISSUERS.join(", ")
            )),
            About::Network if network(subject).is_none() => {
                let networks = NETWORKS.map(|network| network.0).join(", ");
                Err(format!("{subject:?} is no network of the simulated world; {name} is about one of {networks}"))
            }
            About::Merchant if Shops::new().of_merchant(subject).is_empty() => Err(format!(
                "{subject:?} is no merchant of the simulated world; without a subject, {name} is about one by chance"
            )),
            About::Everything => Err(format!("{name} is about all messages and has no subject; leave out {subject:?}")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PlannedIncident, String> {
        text.parse()
    }

    #[test]
    fn times_durations_and_subjects() {
        let moment = |text: &str| Begin::At(parse_moment(text).unwrap());
        let (minute, hour) = (60_000_000, 3_600_000_000);
        for (text, begin, duration, subject) in [
            ("surge@2026-12-01+2h", moment("2026-12-01"), 2 * hour, None),
            ("surge@2026-12-01T10:00:00+02:00+90m", moment("2026-12-01T08:00:00Z"), 90 * minute, None),
            ("network_out@30m+5m:visa", Begin::After(30 * minute), 5 * minute, Some("visa")),
            (
                "issuer_out@2026-12-01T10:00:00Z+1h:Dunmore Savings",
                moment("2026-12-01T10:00:00Z"),
                hour,
                Some("Dunmore Savings"),
            ),
        ] {
            let planned = read(text).unwrap();
            assert_eq!(
                (planned.begin, planned.duration, planned.subject.as_deref()),
                (begin, duration, subject),
                "{text}"
            );
            assert_eq!(planned.to_string(), text);
        }
        let shop = &Shops::new().all[0].name;
        assert_eq!(read(&format!("wrong_clock@1h+1h:{shop}")).unwrap().subject.as_ref(), Some(shop));
    }

    #[test]
    fn what_is_no_incident_says_why() {
        for (text, part) in [
            ("", "is not KIND@TIME+DURATION"),
            ("surge", "is not KIND@TIME+DURATION"),
            ("surge@2026-12-01", "is not KIND@TIME+DURATION"),
            ("surge@2026-12-01T10:00:00+02:00", "is not KIND@TIME+DURATION"),
            ("surge@2026-12-01+0h", "is not KIND@TIME+DURATION"),
            ("flood@2026-12-01+2h", "\"flood\" is no kind of incident; it is one of issuer_out, network_out"),
            ("surge@soon+2h", "\"soon\" is neither a moment nor a length of time"),
            (
                "issuer_out@1h+2h:visa",
                "\"visa\" is no issuer of the simulated world; issuer_out is about one of Alderbank",
            ),
            ("network_out@1h+2h:Alderbank", "is no network of the simulated world; network_out is about one of visa"),
            ("surge@1h+2h:Nobody", "\"Nobody\" is no merchant"),
            ("surge@1h+2h:", "\"\" is no merchant"),
            ("duplicates@1h+2h:visa", "has no subject; leave out \"visa\""),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
