//! Keeps what is known of a terminal, or of a merchant without terminals: its transactions and known frauds by day.

mod run;
mod stored;

use self::run::{Run, bits_from};
use crate::event::Seen;
use crate::features::{Feature, Features};
use crate::key::Key;
use crate::numbers::{DAY, days, second_of};
use crate::table::Entry;

/// The number of days that are kept.
const DAYS: i32 = 64;
/// The number of days of `terminal_known`.
const KNOWN_DAYS: u32 = 30;
/// The number of the last transactions whose times are kept. They say which of a day's transactions are known while
/// others of the same day are not. For a busy terminal that changes little.
const TIMES: usize = 16;
/// The maximum weight of the past in the share of fallbacks, as a number of transactions.
const FALLBACKS: u8 = 30;

/// Counts the transactions of one day. The counts stop at their types' maxima.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tile {
    transactions: u16,
    /// The known frauds of amounts that are usual for their cards, which count against the terminal.
    frauds: u8,
    /// The other known frauds, which count against their cards.
    others: u8,
}

impl Tile {
    /// The transactions that are genuine if all labels are known.
    fn genuine(self) -> u16 {
        self.transactions.saturating_sub(u16::from(self.frauds)).saturating_sub(u16::from(self.others))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    key: Key,
    /// The newest day, as the number of days since 1970.
    day: i32,
    fallbacks: u8,
    fallback: f32,
    /// The days with transactions, with known frauds of either kind, and with genuine transactions. Bit 0 is the newest
    /// day, bit 1 the day before it.
    active: u64,
    fraud: u64,
    other: u64,
    genuine: u64,
    /// The seconds of the last transactions, at the place `next` and before it; 0 for none.
    times: [u32; TIMES],
    next: u8,
    /// Each day's counts as in a [`Tile`], at the day's number modulo 64. Separate arrays let most transactions read the
    /// first one only.
    transactions: [u16; DAYS as usize],
    frauds: [u8; DAYS as usize],
    others: [u8; DAYS as usize],
}

impl Entry for Terminal {
    fn new(key: Key) -> Self {
        Self {
            key,
            day: i32::MIN,
            fallbacks: 0,
            fallback: 0.0,
            active: 0,
            fraud: 0,
            other: 0,
            genuine: 0,
            times: [0; TIMES],
            next: 0,
            transactions: [0; DAYS as usize],
            frauds: [0; DAYS as usize],
            others: [0; DAYS as usize],
        }
    }

    fn key(&self) -> Key {
        self.key
    }
}

fn day_of(time: i64) -> i32 {
    time.div_euclid(DAY) as i32
}

impl Terminal {
    /// Makes a day part of the days that are kept.
    ///
    /// A day that is too old to be kept restarts the terminal there: its newest day came from a wrong clock.
    pub(crate) fn advance(&mut self, time: i64) {
        let day = day_of(time);
        let ahead = day.saturating_sub(self.day);
        if !(-DAYS < ahead && ahead < DAYS) {
            *self = Self { day, fallbacks: self.fallbacks, fallback: self.fallback, ..Self::new(self.key) };
        } else if ahead > 0 {
            for new in self.day + 1..=day {
                let at = Self::tile_of(new);
                self.transactions[at] = 0;
                if self.fraud | self.other != 0 {
                    (self.frauds[at], self.others[at]) = (0, 0);
                }
            }
            self.active <<= ahead;
            self.fraud <<= ahead;
            self.other <<= ahead;
            self.genuine <<= ahead;
            self.day = day;
        }
    }

    fn tile_of(day: i32) -> usize {
        day.rem_euclid(DAYS) as usize
    }

    /// Returns the counts of a day that is kept and is a number of days before another one.
    fn tile(&self, day: i32, before: u32) -> Tile {
        let day = day - before as i32;
        let at = Self::tile_of(day);
        let transactions = self.transactions[at];
        if (self.fraud | self.other) >> (self.day - day) & 1 == 0 {
            return Tile { transactions, ..Tile::default() };
        }
        Tile { transactions, frauds: self.frauds[at], others: self.others[at] }
    }

    /// Adds the transactions of the days from `from` until before `end`, as numbers of days before a day.
    fn transactions(&self, day: i32, from: u32, end: u32) -> u32 {
        if from >= end {
            return 0;
        }
        let sum = |counts: &[u16]| counts.iter().map(|count| u32::from(*count)).sum::<u32>();
        let (first, last) = (Self::tile_of(day - end as i32 + 1), Self::tile_of(day - from as i32));
        if first <= last {
            sum(&self.transactions[first..=last])
        } else {
            sum(&self.transactions[first..]) + sum(&self.transactions[..=last])
        }
    }

    /// Returns the counts of a day as far as they are known: its transactions until a time, and all labels.
    fn known_part(&self, day: i32, until: i64) -> Tile {
        let tile = self.tile(day, 0);
        let (begin, until) = (second_of(i64::from(day) * DAY), second_of(until));
        let end = begin.saturating_add(86_400);
        let (mut kept, mut later) = (0, 0);
        for second in self.times {
            kept += u16::from((begin.max(1)..end).contains(&second));
            later += u16::from((until + 1..end).contains(&second));
        }
        // What is not kept came before what is. If all that is kept came later, the rest is in doubt.
        let known = if later < kept || kept == tile.transactions {
            tile.transactions - later.min(tile.transactions)
        } else {
            0
        };
        Tile { transactions: known.max(u16::from(tile.frauds) + u16::from(tile.others)), ..tile }
    }

    /// Sets the features as of a moment. What is of a later day does not count.
    pub(crate) fn features(&self, now: i64, maturity: i64, features: &mut Features) {
        let day = day_of(now);
        let newer = (self.day - day) as u32;
        let window = DAYS as u32 - newer;
        // The last day that is known ended before the maturity of labels. Of the next day, a part is known.
        let limit = now - maturity;
        let known_from = (day - (day_of(limit) - 1)) as u32;
        let part_at = known_from - 1;
        let part = if part_at < window { self.known_part(day - part_at as i32, limit) } else { Tile::default() };
        let bit = |is_set: bool| u64::from(is_set).checked_shl(part_at).unwrap_or(0);
        let whole = bits_from(known_from);
        let (active, fraud) = ((self.active >> newer) & whole | bit(part.transactions > 0), self.fraud >> newer);
        let genuine = ((self.genuine >> newer) & whole | bit(part.genuine() > 0)) & !fraud;
        let since = |before: u32| days(now - (i64::from(day) - i64::from(before)) * DAY);
        if active != 0 {
            features.set(Feature::TerminalKnownSince, since(active.trailing_zeros()));
        }
        let end = window.min(known_from + KNOWN_DAYS);
        let count = self.transactions(day, known_from, end);
        features.set(Feature::TerminalKnown, f64::from(count + u32::from(part.transactions)));
        if self.fallbacks > 0 {
            features.set(Feature::TerminalFallback, f64::from(self.fallback));
        }
        let (mut frauds, mut transactions) = (0u32, 0u32);
        if let Some(run) = Run::find(fraud, genuine) {
            let mut genuine_since = 0u32;
            for before in 0..=run.first {
                let tile = match before {
                    before if before > part_at => self.tile(day, before),
                    before if before == part_at => part,
                    before => Tile { transactions: 0, ..self.tile(day, before) },
                };
                frauds += u32::from(tile.frauds);
                transactions += u32::from(tile.genuine()) + u32::from(tile.frauds);
                genuine_since += if before < run.last { u32::from(tile.genuine()) } else { 0 };
            }
            features.set(Feature::RunAge, since(run.first));
            features.set(Feature::RunSince, since(run.last));
            features.set(Feature::RunGenuine, f64::from(genuine_since));
            let earlier = genuine & bits_from(run.first + 1);
            if earlier != 0 {
                features.set(Feature::RunAgeAtMost, since(earlier.trailing_zeros()));
            }
        }
        features.set(Feature::RunFrauds, f64::from(frauds));
        features.set(Feature::RunTransactions, f64::from(transactions));
        features.set(Feature::RunShare, f64::from(frauds) / f64::from(transactions.max(1)));
    }

    /// Adds a transaction. [`advance`](Self::advance) must have been called for it.
    pub(crate) fn fold(&mut self, seen: &Seen) {
        let day = day_of(seen.time);
        let count = &mut self.transactions[Self::tile_of(day)];
        *count = count.saturating_add(1);
        self.mark(day);
        self.times[usize::from(self.next)] = second_of(seen.time);
        self.next = (self.next + 1) % TIMES as u8;
        if seen.is_present && !seen.is_refund {
            self.fallbacks = (self.fallbacks + 1).min(FALLBACKS);
            let step = f32::from(u8::from(seen.is_fallback)) - self.fallback;
            self.fallback += step / f32::from(self.fallbacks);
        }
    }

    /// Sets a day's bits from its counts.
    fn mark(&mut self, day: i32) {
        let bit = 1u64 << (self.day - day);
        let tile = self.tile(day, 0);
        for (days, is_set) in [(&mut self.active, tile.transactions > 0), (&mut self.genuine, tile.genuine() > 0)] {
            *days = if is_set { *days | bit } else { *days & !bit };
        }
    }

    /// Counts a known fraud. Returns false if its day is not kept.
    pub(crate) fn add_fraud(&mut self, moment: i64, is_usual: bool) -> bool {
        let day = day_of(moment);
        if day > self.day || self.day.saturating_sub(day) >= DAYS {
            return false;
        }
        let at = Self::tile_of(day);
        let (days, count) =
            if is_usual { (&mut self.fraud, &mut self.frauds[at]) } else { (&mut self.other, &mut self.others[at]) };
        *days |= 1 << (self.day - day);
        *count = count.saturating_add(1);
        self.mark(day);
        true
    }

    /// Forgets all known frauds.
    pub(crate) fn clear_frauds(&mut self) {
        (self.frauds, self.others) = ([0; DAYS as usize], [0; DAYS as usize]);
        (self.fraud, self.other, self.genuine) = (0, 0, self.active);
    }
}
