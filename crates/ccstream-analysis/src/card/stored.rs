//! Writes and reads a card for snapshots.

use super::recent::Recent;
use super::{Card, MOST};
use crate::bytes::{Number, Reader, Result, check};
use crate::table::Entry;

/// No amount in units of the currency is greater than this, as amounts are whole hundredths in 64 bits.
const MOST_MEAN: f64 = 1e17;

impl Card {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.key.push(out);
        self.last.push(out);
        self.mean.push(out);
        self.variance.push(out);
        self.outlier.push(out);
        self.outliers.iter().for_each(|count| count.push(out));
        self.greatest.push(out);
        self.level.push(out);
        self.place.0.push(out);
        self.place.1.push(out);
        self.placed.push(out);
        self.amounts.push(out);
        self.levels.push(out);
        self.modes.push(out);
        self.countries.iter().for_each(|country| country.push(out));
        self.merchants.iter().for_each(|merchant| merchant.push(out));
        self.balances.iter().for_each(|balance| balance.push(out));
        self.recent.write(out);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self> {
        let mut card = Self::new(from.u64()?);
        card.last = from.time()?;
        card.mean = check(from.finite("mean of a card")?, |mean| (0.0..=MOST_MEAN).contains(&mean), "mean of a card")?;
        card.variance = from.finite("variance of a card")?;
        check(card.variance, |variance| (0.0..=MOST_MEAN * MOST_MEAN).contains(&variance), "variance of a card")?;
        card.outlier = from.u32()?;
        for count in &mut card.outliers {
            *count = from.positive("count of outliers")?;
        }
        card.greatest = from.positive("greatest ratio")?;
        card.level = check(from.f32()?, |level| level.abs() <= 100.0, "level of a card")?;
        card.place.0 = check(from.f32()?, |latitude| latitude.abs() <= 90.0, "latitude")?;
        card.place.1 = check(from.f32()?, |longitude| longitude.abs() <= 180.0, "longitude")?;
        card.placed = from.u32()?;
        card.amounts = check(from.u8()?, |count| count <= MOST, "count of amounts")?;
        card.levels = check(from.u8()?, |count| count <= MOST, "count of levels")?;
        card.modes = from.u16()?;
        for country in &mut card.countries {
            *country = from.u16()?;
        }
        for merchant in &mut card.merchants {
            *merchant = from.u16()?;
        }
        for balance in &mut card.balances {
            *balance = from.i8()?;
        }
        card.recent = Recent::read(from)?;
        Ok(card)
    }
}
