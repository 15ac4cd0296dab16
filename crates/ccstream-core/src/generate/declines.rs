//! The causes for which an issuer declines, and retries after a decline.

use super::chance::Chance;

/// An issuer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Approved,
    DoNotHonour,
    InvalidCard,
    InsufficientFunds,
    ExpiredCard,
    ExceedsAmount,
    ExceedsFrequency,
    IssuerUnavailable,
}

/// Every answer, in the order of the enum.
pub(super) static ANSWERS: [Answer; 8] = [
    Answer::Approved,
    Answer::DoNotHonour,
    Answer::InvalidCard,
    Answer::InsufficientFunds,
    Answer::ExpiredCard,
    Answer::ExceedsAmount,
    Answer::ExceedsFrequency,
    Answer::IssuerUnavailable,
];

impl Answer {
    /// The code of ISO 8583 field 39.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Approved => "00",
            Self::DoNotHonour => "05",
            Self::InvalidCard => "14",
            Self::InsufficientFunds => "51",
            Self::ExpiredCard => "54",
            Self::ExceedsAmount => "61",
            Self::ExceedsFrequency => "65",
            Self::IssuerUnavailable => "91",
        }
    }

    pub(super) fn status(self) -> &'static str {
        if self == Self::Approved { "approved" } else { "declined" }
    }
}

/// What an issuer knows of a purchase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub(super) is_expired: bool,
    /// The amount, as a multiple of the card's limit.
    pub(super) of_limit: f64,
    /// The number of payments on this day, as a multiple of the card's limit.
    pub(super) of_most: f64,
    /// Whether the holder's money may not last until the month's end.
    pub(super) is_tight: bool,
    pub(super) day_of_month: u8,
    pub(super) is_online: bool,
    /// Whether the card number was typed.
    pub(super) is_typed: bool,
    pub(super) is_abroad: bool,
}

/// Draws the issuer's answer to a purchase.
pub(super) fn answer(situation: &Situation, chance: &mut Chance) -> Answer {
    // One draw decides all random causes: each takes its share of the scale, one after the other.
    let mut draw = chance.unit();
    let mut is = |share: f64| {
        draw -= share;
        draw < 0.0
    };
    let wrong = f64::from(u8::from(situation.is_typed)) * 0.006;
    let refused = 0.010 + if situation.is_online { 0.012 } else { 0.0 } + if situation.is_abroad { 0.015 } else { 0.0 };
    if is(0.000_8) {
        return Answer::IssuerUnavailable;
    }
    if situation.is_expired {
        return Answer::ExpiredCard;
    }
    if situation.of_limit > 1.0 {
        return Answer::ExceedsAmount;
    }
    if situation.of_most > 1.0 {
        return Answer::ExceedsFrequency;
    }
    if is(wrong) {
        return Answer::InvalidCard;
    }
    if is(empty_share(situation)) {
        return Answer::InsufficientFunds;
    }
    if is(refused) { Answer::DoNotHonour } else { Answer::Approved }
}

/// The probability of insufficient funds. It rises from the middle of the month on.
fn empty_share(situation: &Situation) -> f64 {
    let late = f64::from(situation.day_of_month.saturating_sub(12)) / 18.0;
    if situation.is_tight { 0.008 + 0.12 * late * late } else { 0.002 + 0.01 * late * late }
}

/// Draws whether a declined purchase is tried again: after a number of seconds, for a share of the amount, with an
/// answer.
pub(super) fn retry(declined: Answer, chance: &mut Chance) -> Option<(f64, f64, Answer)> {
    let (tried, approved, part) = match declined {
        Answer::Approved => return None,
        Answer::DoNotHonour => (0.35, 0.3, 1.0),
        Answer::InvalidCard => (0.8, 0.9, 1.0),
        Answer::InsufficientFunds => (0.3, 0.35, 0.5),
        Answer::ExpiredCard => (0.25, 0.0, 1.0),
        Answer::ExceedsAmount => (0.4, 0.8, 0.4),
        Answer::ExceedsFrequency => (0.1, 0.0, 1.0),
        Answer::IssuerUnavailable => (0.6, 0.85, 1.0),
    };
    if !chance.is(tried) {
        return None;
    }
    let after = chance.between(12.0, 150.0);
    Some((after, part, if chance.is(approved) { Answer::Approved } else { declined }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::chance::Matter;

    const PLAIN: Situation = Situation {
        is_expired: false,
        of_limit: 0.1,
        of_most: 0.1,
        is_tight: false,
        day_of_month: 10,
        is_online: false,
        is_typed: false,
        is_abroad: false,
    };

    fn share(situation: Situation, wanted: Answer) -> f64 {
        let mut chance = Chance::of(1, Matter::Stream, 0);
        (0..100_000).filter(|_| answer(&situation, &mut chance) == wanted).count() as f64 / 100_000.0
    }

    #[test]
    fn each_cause_has_its_code() {
        assert!(share(PLAIN, Answer::Approved) > 0.98);
        assert!(share(Situation { is_expired: true, ..PLAIN }, Answer::ExpiredCard) > 0.99);
        assert!(share(Situation { of_limit: 1.1, ..PLAIN }, Answer::ExceedsAmount) > 0.99);
        assert!(share(Situation { of_most: 1.1, ..PLAIN }, Answer::ExceedsFrequency) > 0.99);
        assert!(share(Situation { is_typed: true, ..PLAIN }, Answer::InvalidCard) > 0.004);
        assert!(share(PLAIN, Answer::InvalidCard) < 1e-9);
        let tight = |day_of_month| Situation { is_tight: true, day_of_month, ..PLAIN };
        let (early, late) = (share(tight(5), Answer::InsufficientFunds), share(tight(29), Answer::InsufficientFunds));
        assert!(late > 5.0 * early, "{early} {late}");
    }
}
