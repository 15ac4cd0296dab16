//! Knows the usual payment in each currency, so that payments in all currencies can be added as multiples of it.

use std::collections::BTreeMap;

use crate::SnapshotError;
use crate::bytes::{Number, Reader, Result};
use crate::numbers::{exp, ln};

/// The maximum number of currencies. Payments in others have no value.
pub(super) const MOST: usize = 64;
/// The number of payments after which old ones fade.
const MEMORY: f64 = 100_000.0;
/// A payment counts as at most this many hundredths of the usual one, so that a single one moves no window by much.
const GREATEST: f64 = 3_000.0;
/// Logarithms are summed in millionths: whole numbers have the same sum in any order.
const MILLION: f64 = 1e6;

/// The code of a currency.
pub(super) type Code = [u8; 3];

/// The payments of a minute in a currency: their number, and the sum of their logarithms in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) count: u32,
    pub(super) logs: i64,
}

impl Paid {
    pub(super) fn add(&mut self, cents: i64) {
        self.count = self.count.saturating_add(1);
        self.logs = self.logs.saturating_add((ln(cents as f64) * MILLION).round() as i64);
    }
}

/// The usual payment in a currency: the geometric mean.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Usual {
    /// The number of payments that it is the mean of, at most [`MEMORY`].
    weight: f64,
    /// The mean of the logarithms.
    log: f64,
    /// The payment in hundredths.
    cents: f64,
}

/// The usual payment in each currency.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Currencies(BTreeMap<Code, Usual>);

impl Currencies {
    /// Returns a payment in hundredths of the usual one; 0 while that is unknown.
    pub(super) fn multiple(&self, code: Code, cents: i64) -> u32 {
        let usual = self.0.get(&code);
        usual.map_or(0, |usual| (100.0 * cents as f64 / usual.cents).round().min(GREATEST) as u32)
    }

    /// Adds the payments of a minute.
    pub(super) fn learn(&mut self, code: Code, paid: Paid) {
        if self.0.len() >= MOST && !self.0.contains_key(&code) || paid.count == 0 {
            return;
        }
        let usual = self.0.entry(code).or_insert(Usual { weight: 0.0, log: 0.0, cents: 1.0 });
        let (count, mean) = (f64::from(paid.count), paid.logs as f64 / MILLION / f64::from(paid.count));
        usual.weight = (usual.weight + count).min(MEMORY.max(count));
        usual.log += (mean - usual.log) * count / usual.weight;
        usual.cents = exp(usual.log);
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        (self.0.len() as u8).push(out);
        for (code, usual) in &self.0 {
            out.extend_from_slice(code);
            usual.weight.push(out);
            usual.log.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for _ in 0..reader.u8()? {
            let code = code(reader)?;
            let (weight, log) = (reader.finite("weight")?, reader.finite("usual payment")?);
            all.insert(code, Usual { weight, log, cents: exp(log) });
        }
        Ok(Self(all))
    }
}

/// Reads the code of a currency.
pub(super) fn code(reader: &mut Reader<'_>) -> Result<Code> {
    let (code, rest) = reader.0.split_first_chunk().ok_or(SnapshotError::Short)?;
    reader.0 = rest;
    Ok(*code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(all: &[i64]) -> Paid {
        let mut paid = Paid::default();
        for cents in all {
            paid.add(*cents);
        }
        paid
    }

    #[test]
    fn payments_are_multiples_of_the_geometric_mean_of_their_currency() {
        let mut currencies = Currencies::default();
        assert_eq!(currencies.multiple(*b"EUR", 1_000), 0);
        currencies.learn(*b"EUR", paid(&[500, 2_000]));
        currencies.learn(*b"JPY", paid(&[50_000, 200_000]));
        assert_eq!([currencies.multiple(*b"EUR", 1_000), currencies.multiple(*b"JPY", 100_000)], [100, 100]);
        assert_eq!(currencies.multiple(*b"EUR", 1_000_000), 3_000);
        for _ in 0..200 {
            currencies.learn(*b"EUR", paid(&vec![4_000; 5_000]));
        }
        assert_eq!(currencies.multiple(*b"EUR", 4_000), 100);
    }
}
