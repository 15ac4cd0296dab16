//! Keeps the last transactions of a card, and counts those of its last hours.

use super::TIMES;
use crate::bytes::{Number, Reader, Result, check};
use crate::event::Seen;
use crate::features::{Feature, Features};

/// The number of transactions that are kept.
const KEPT: usize = 10;
/// The least number of amounts that can rise.
const RISING: u32 = 3;

/// Holds the lengths of the windows, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) hour: u32,
    pub(super) present: u32,
    pub(super) day: u32,
    pub(super) tiny: u32,
    pub(super) online: u32,
    pub(super) refunds: u32,
}

/// Holds a transaction of the card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct One {
    /// The time, in seconds since 1970.
    pub(super) second: u32,
    /// The natural logarithm of the amount, in steps of 1/256; `i16::MIN` for an amount of 0.
    pub(super) log_amount: i16,
    pub(super) flags: u8,
    /// The merchant's tiny amounts before this, if this is one.
    pub(super) tested: u8,
}

impl One {
    pub(super) const ONLINE: u8 = 1;
    pub(super) const PRESENT: u8 = 2;
    pub(super) const REFUND: u8 = 4;
    pub(super) const DECLINED: u8 = 8;
    pub(super) const TINY: u8 = 16;
    pub(super) const NEW: u8 = 32;
    pub(super) const NIGHT: u8 = 64;

    /// Returns a logarithm in steps.
    pub(super) fn step_of(log_amount: f64) -> i16 {
        if log_amount.is_finite() { (log_amount * 256.0) as i16 } else { i16::MIN }
    }

    /// Returns the logarithm of the amount; infinite for an amount of 0.
    fn log_amount(self) -> f64 {
        if self.log_amount == i16::MIN { f64::NEG_INFINITY } else { f64::from(self.log_amount) / 256.0 }
    }

    /// Returns 1 if all of the flags are set, otherwise 0.
    fn has(self, flags: u8) -> u32 {
        u32::from(self.flags & flags == flags)
    }
}

/// Holds the last transactions, the newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    last: [One; KEPT],
    count: u8,
}

impl Recent {
    pub(super) fn push(&mut self, one: One) {
        self.last.copy_within(..KEPT - 1, 1);
        self.last[0] = one;
        self.count = (self.count + 1).min(KEPT as u8);
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = One> + '_ {
        self.last[..usize::from(self.count)].iter().copied()
    }

    pub(super) fn features(&self, now: u32, seen: &Seen, log_amount: f64, features: &mut Features) {
        let mut counts = Counts::default();
        let mut rise = Rise::default();
        let rises = seen.is_present && !seen.is_refund;
        if rises {
            rise.add(log_amount);
        }
        for one in self.iter() {
            // A transaction after this one came from a wrong clock.
            let Some(age) = now.checked_sub(one.second) else { continue };
            counts.add(one, age);
            if rises && age < TIMES.present && one.flags & (One::PRESENT | One::REFUND) == One::PRESENT {
                rise.add(one.log_amount());
            }
        }
        for (feature, count) in [
            (Feature::CardHour, counts.hour),
            (Feature::CardDay, counts.day),
            (Feature::CardDeclines, counts.declines),
            (Feature::CardTiny, counts.tiny),
            (Feature::CardTested, counts.tested),
            (Feature::CardOnline, counts.online),
            (Feature::CardOnlineNew, counts.online_new),
            (Feature::CardOnlineNight, counts.online_night),
            (Feature::CardPresent, counts.present),
            (Feature::CardPresentNew, counts.present_new),
            (Feature::CardRefunds, counts.refunds),
        ] {
            features.set(feature, f64::from(count));
        }
        features.set(Feature::CardRise, rise.value());
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.count.push(out);
        // The oldest first, so that adding them in this order restores the list.
        for one in self.iter().rev() {
            one.second.push(out);
            one.log_amount.push(out);
            one.flags.push(out);
            one.tested.push(out);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self> {
        let mut recent = Self::default();
        for _ in 0..check(from.u8()?, |count| usize::from(count) <= KEPT, "count of transactions")? {
            recent.push(One { second: from.u32()?, log_amount: from.i16()?, flags: from.u8()?, tested: from.u8()? });
        }
        Ok(recent)
    }
}

/// Counts the transactions of each window.
#[derive(Debug, Default)]
struct Counts {
    hour: u32,
    day: u32,
    declines: u32,
    tiny: u32,
    tested: u32,
    online: u32,
    online_new: u32,
    online_night: u32,
    present: u32,
    present_new: u32,
    refunds: u32,
}

impl Counts {
    fn add(&mut self, one: One, age: u32) {
        let within = |length: u32| u32::from(age < length);
        let purchase = 1 - one.has(One::REFUND);
        self.hour += within(TIMES.hour);
        self.day += within(TIMES.day);
        self.declines += within(TIMES.day) & one.has(One::DECLINED);
        let tiny = within(TIMES.tiny) & one.has(One::TINY);
        self.tiny += tiny;
        self.tested = self.tested.max(tiny * u32::from(one.tested));
        let online = within(TIMES.online) & purchase;
        self.online += online & one.has(One::ONLINE);
        self.online_new += online & one.has(One::ONLINE | One::NEW);
        self.online_night += online & one.has(One::ONLINE | One::NEW | One::NIGHT);
        let present = within(TIMES.present) & purchase;
        self.present += present & one.has(One::PRESENT);
        self.present_new += present & one.has(One::PRESENT | One::NEW);
        self.refunds += within(TIMES.refunds) & one.has(One::REFUND);
    }
}

/// Correlates the order of amounts, which are added newest first, with their logarithms.
#[derive(Debug, Default)]
struct Rise {
    count: u32,
    sum: f64,
    squares: f64,
    by_order: f64,
}

impl Rise {
    fn add(&mut self, log_amount: f64) {
        if log_amount.is_finite() {
            self.sum += log_amount;
            self.squares += log_amount * log_amount;
            self.by_order += log_amount * f64::from(self.count);
            self.count += 1;
        }
    }

    /// Returns the correlation, if positive, times the number of amounts.
    fn value(&self) -> f64 {
        if self.count < RISING {
            return 0.0;
        }
        let n = f64::from(self.count);
        let orders = (n - 1.0) / 2.0;
        let covariance = orders * self.sum - self.by_order;
        let spread = (self.squares - self.sum * self.sum / n) * n * (n * n - 1.0) / 12.0;
        // Equal amounts have no spread but for rounding.
        if spread > 1e-9 && covariance > 0.0 { n * (covariance / spread.sqrt()).min(1.0) } else { 0.0 }
    }
}
