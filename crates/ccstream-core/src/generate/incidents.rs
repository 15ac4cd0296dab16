//! Incidents: their kinds, and what each is about.

use std::ops::Range;

use super::calendar::{HOUR, MINUTE};
use super::cards::{ISSUERS, NETWORKS};
use super::chance::Chance;
use super::merchants::Shops;

/// A kind of incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentKind {
    /// An issuer cannot be reached: every payment by its cards is declined with response code 91.
    IssuerOut,
    /// A network cannot be reached: every payment by its cards is declined with response code 91.
    NetworkOut,
    /// All terminals of a merchant are offline: it has no transactions, not even declined ones.
    TerminalOffline,
    /// A sale at a merchant: four times its usual rate, or less if it already has much of its category.
    Surge,
    /// An issuer's processor is slow: events are sent up to ten minutes late, with the time at which they happened.
    SlowProcessor,
    /// Some messages are sent twice, with the same key and id.
    Duplicates,
    /// A merchant's clock is wrong by some hours.
    WrongClock,
}

/// What a kind of incident is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Issuer,
    Network,
    Merchant,
    Everything,
}

impl IncidentKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::IssuerOut,
        Self::NetworkOut,
        Self::TerminalOffline,
        Self::Surge,
        Self::SlowProcessor,
        Self::Duplicates,
        Self::WrongClock,
    ];

    /// The word for it in `--incident` and in the truth.
    pub fn name(self) -> &'static str {
        match self {
            Self::IssuerOut => "issuer_out",
            Self::NetworkOut => "network_out",
            Self::TerminalOffline => "terminal_offline",
            Self::Surge => "surge",
            Self::SlowProcessor => "slow_processor",
            Self::Duplicates => "duplicates",
            Self::WrongClock => "wrong_clock",
        }
    }

    pub(super) fn about(self) -> About {
        match self {
            Self::IssuerOut | Self::SlowProcessor => About::Issuer,
            Self::NetworkOut => About::Network,
            Self::TerminalOffline | Self::Surge | Self::WrongClock => About::Merchant,
            Self::Duplicates => About::Everything,
        }
    }

    /// The shortest and the longest duration of one that happens by chance.
    pub(super) fn durations(self) -> (i64, i64) {
        match self {
            Self::IssuerOut => (20 * MINUTE, 3 * HOUR),
            Self::NetworkOut => (10 * MINUTE, 90 * MINUTE),
            Self::TerminalOffline => (HOUR, 8 * HOUR),
            Self::Surge => (3 * HOUR, 10 * HOUR),
            Self::SlowProcessor => (30 * MINUTE, 4 * HOUR),
            Self::Duplicates => (10 * MINUTE, HOUR),
            Self::WrongClock => (3 * HOUR, 48 * HOUR),
        }
    }
}

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Everything,
    /// The place in [`ISSUERS`].
    Issuer(u8),
    /// The place in [`NETWORKS`].
    Network(u8),
    /// A merchant's shops, in ascending order.
    Merchant(Vec<u32>),
}

/// A shop of a merchant that has a sale, and the shops that it takes customers from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rival {
    pub(super) shop: u32,
    pub(super) others: Range<u32>,
    /// The shop's usual share of what all of them sell.
    pub(super) share: f64,
}

/// An incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incident {
    pub(super) kind: IncidentKind,
    pub(super) start: i64,
    /// Exclusive.
    pub(super) end: i64,
    pub(super) subject: Subject,
    /// By which a merchant's clock is ahead; only of [`IncidentKind::WrongClock`].
    pub(super) offset: i64,
    /// Only of [`IncidentKind::Surge`].
    pub(super) rivals: Vec<Rival>,
}

impl Incident {
    pub(super) fn new(
        kind: IncidentKind,
        (start, duration): (i64, i64),
        subject: Subject,
        shops: &Shops,
        chance: &mut Chance,
    ) -> Self {
        // Whole hours, as of a wrong time zone: less than the two days that a consumer takes from the future by default.
        let hours = 1 + i64::from(chance.below(11));
        let is_ahead = chance.is(0.5);
        let offset = match kind {
            IncidentKind::WrongClock if is_ahead => hours * HOUR,
            IncidentKind::WrongClock => -hours * HOUR,
            _ => 0,
        };
        let rival = |&shop: &u32| {
            let (others, share) = shops.rivals(shop);
            Rival { shop, others, share }
        };
        let rivals = match (&subject, kind) {
            (Subject::Merchant(of), IncidentKind::Surge) => of.iter().map(rival).collect(),
            _ => Vec::new(),
        };
        Self { kind, start, end: start.saturating_add(duration), subject, offset, rivals }
    }

    /// The name of what it is about.
    pub(super) fn subject_name<'s>(&self, shops: &'s Shops) -> Option<&'s str> {
        match &self.subject {
            Subject::Everything => None,
            Subject::Issuer(at) => Some(ISSUERS[usize::from(*at)]),
            Subject::Network(at) => Some(NETWORKS[usize::from(*at)].0),
            Subject::Merchant(of) => of.first().map(|shop| shops.all[*shop as usize].name.as_str()),
        }
    }
}

pub(super) fn issuer(name: &str) -> Option<u8> {
    ISSUERS.iter().position(|issuer| *issuer == name).map(|at| at as u8)
}

pub(super) fn network(name: &str) -> Option<u8> {
    NETWORKS.iter().position(|network| network.0 == name).map(|at| at as u8)
}
