//! Names what is watched: the dimensions of series, and what is measured of each.

use ccstream_core::fields::Place;

/// What the series of a dimension have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// All transactions: one series.
    All,
    /// The brand of the card.
    Network,
    /// The bank that issued the card.
    Issuer,
    /// The country.
    Country,
    /// The category of the merchant.
    Category,
    /// The merchant.
    Merchant,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::All, Self::Network, Self::Issuer, Self::Country, Self::Category, Self::Merchant];
    /// All dimensions that have a field, each at the place of its number less 1.
    pub const FIELDS: [Self; 5] = [Self::Network, Self::Issuer, Self::Country, Self::Category, Self::Merchant];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Network => "network",
            Self::Issuer => "issuer",
            Self::Country => "country",
            Self::Category => "category",
            Self::Merchant => "merchant",
        }
    }

    /// Returns the field whose values are the series; None for all transactions.
    pub fn place(self) -> Option<Place> {
        Some(match self {
            Self::All => return None,
            Self::Network => Place::PAYMENT_METHOD,
            Self::Issuer => Place::ISSUER,
            Self::Country => Place::COUNTRY,
            Self::Category => Place::CATEGORY,
            Self::Merchant => Place::MERCHANT,
        })
    }

    /// Returns the maximum number of series. The largest ones are watched.
    pub(super) fn most(self) -> usize {
        match self {
            Self::All => 1,
            Self::Network => 16,
            Self::Issuer | Self::Country | Self::Category => 64,
            Self::Merchant => 100,
        }
    }

    /// Returns the dimension with a number; None if there is none.
    pub(super) fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::All),
            _ => Self::FIELDS.get(usize::from(number) - 1).copied(),
        }
    }
}

/// What is measured of a series in a window of five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kpi {
    /// The number of transactions.
    Rate,
    /// The sum of approved payments, each as a multiple of the usual payment in its currency.
    Value,
    /// The share of approved transactions among those that were approved or declined.
    Approval,
}

impl Kpi {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 3] = [Self::Rate, Self::Value, Self::Approval];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Value => "value",
            Self::Approval => "approval_rate",
        }
    }
}

/// What the expected value follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// Too little is known: nothing is judged.
    Nothing,
    /// The last hour. Only outages are judged.
    Hour,
    /// The same minutes of the last days.
    Days,
    /// The same minutes and the same weekday of the last weeks.
    Weeks,
}

impl Basis {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Hour, Self::Days, Self::Weeks];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Hour => "hour",
            Self::Days => "days",
            Self::Weeks => "weeks",
        }
    }
}
