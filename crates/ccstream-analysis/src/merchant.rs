//! Keeps what is known of a merchant in one currency: its usual amount, tiny amounts and refunds.

use crate::bytes::{Number, Reader, Result, check};
use crate::event::{Carried, Seen};
use crate::features::{Feature, Features};
use crate::key::Key;
use crate::numbers::{DAY, days, decay};
use crate::table::Entry;

/// The time constant of refunds, in days. That of tiny amounts is 2 hours.
const REFUNDS: f64 = 4.0;
/// The maximum weight of the past, as a number of amounts.
const MOST: u16 = 1_000;

#[derive(Debug, Clone)]
pub(crate) struct Merchant {
    key: Key,
    /// The time of the newest transaction; `i64::MIN` before the first.
    last: i64,
    /// The mean of the natural logarithm of amounts above 0, of this number of amounts.
    log_mean: f64,
    amounts: u16,
    tiny: f32,
    refunds: f32,
    transactions: f32,
}

impl Entry for Merchant {
    fn new(key: Key) -> Self {
        Self { key, last: i64::MIN, log_mean: 0.0, amounts: 0, tiny: 0.0, refunds: 0.0, transactions: 0.0 }
    }

    fn key(&self) -> Key {
        self.key
    }
}

impl Merchant {
    /// Decays the counts until a time. A time before the newest one changes nothing, unless it is more than a day before
    /// it: then the newest one came from a wrong clock.
    pub(crate) fn advance(&mut self, time: i64) {
        if self.last != i64::MIN && time > self.last {
            // One exponential serves both: 4 days are 48 times 2 hours.
            let slow = decay(days(time - self.last), REFUNDS);
            let to_16 = [(); 4].iter().fold(slow, |power, ()| power * power);
            let to_32 = to_16 * to_16;
            self.tiny *= (to_32 * to_16) as f32;
            self.refunds *= slow as f32;
            self.transactions *= slow as f32;
        }
        if time > self.last || time < self.last - DAY {
            self.last = time;
        }
    }

    /// Returns the geometric mean's logarithm; None before the first amount.
    pub(crate) fn log_mean(&self) -> Option<f64> {
        (self.amounts > 0).then_some(self.log_mean)
    }

    /// Returns the number of tiny amounts, rounded.
    pub(crate) fn tiny(&self) -> u8 {
        (self.tiny + 0.5) as u8
    }

    pub(crate) fn features(&self, carried: Carried, features: &mut Features) {
        features.set(Feature::MerchantRatio, f64::from(carried.level));
        features.set(Feature::MerchantTiny, f64::from(self.tiny));
        features.set(Feature::MerchantRefunds, f64::from(self.refunds));
        features.set(Feature::MerchantRefundShare, f64::from(self.refunds) / (f64::from(self.transactions) + 1.0));
    }

    /// Adds a transaction. [`advance`](Self::advance) must have been called.
    pub(crate) fn fold(&mut self, seen: &Seen, carried: Carried, log_amount: f64) {
        self.transactions += 1.0;
        if carried.is_tiny(seen) {
            self.tiny += 1.0;
        }
        if seen.is_refund {
            self.refunds += 1.0;
            return;
        }
        if log_amount.is_finite() && !seen.is_declined {
            self.amounts = (self.amounts + 1).min(MOST);
            self.log_mean += (log_amount - self.log_mean) / f64::from(self.amounts);
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.key.push(out);
        self.last.push(out);
        self.log_mean.push(out);
        self.amounts.push(out);
        self.tiny.push(out);
        self.refunds.push(out);
        self.transactions.push(out);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            key: from.u64()?,
            last: from.time()?,
            log_mean: check(from.f64()?, |mean| mean.abs() <= 100.0, "mean of a merchant")?,
            amounts: check(from.u16()?, |count| count <= MOST, "count of amounts")?,
            tiny: from.positive("count of tiny amounts")?,
            refunds: from.positive("count of refunds")?,
            transactions: from.positive("count of transactions")?,
        })
    }
}
