//! Keeps what is known of a card in one currency: its usual amount, outliers, merchants, countries, and its last
//! transactions.

mod recent;
mod stored;

use self::recent::{One, Recent, Times};
use crate::event::{Carried, Seen};
use crate::features::{Feature, Features};
use crate::key::Key;
use crate::numbers::{DAY, cos, days, decay, second_of};
use crate::table::Entry;

/// The maximum weight of the past in the mean, as a number of amounts.
const MOST: u8 = 200;
/// The weight of the amount at which a card begins, as a number of amounts.
const START: f64 = 2.0;
/// A card has no outliers before it has this number of amounts.
const SETTLED: u8 = 3;
/// An amount above this multiple of the mean is an outlier.
const OUTLIER: f64 = 2.5;
/// The weight of an outlier in the mean, relative to another amount. Without any, a card whose amounts rise for good
/// would have nothing but outliers for ever.
const OUTLIER_WEIGHT: f64 = 0.1;
/// The standard deviation is at least this share of the mean.
const LEAST_DEVIATION: f64 = 0.15;
/// The standard deviation of a new card, as a share of the mean.
const FIRST_DEVIATION: f64 = 0.5;
/// The mean is at least this amount, so that a card of many amounts of 0 has finite ratios.
const LEAST_MEAN: f64 = 0.01;
/// The number of merchants that are remembered.
const MERCHANTS: usize = 16;
/// The length of a degree of latitude, in km.
const DEGREE: f64 = 111.195;

#[derive(Debug, Clone)]
pub(crate) struct Card {
    key: Key,
    /// The time of the newest transaction; `i64::MIN` before the first.
    last: i64,
    /// The mean of amounts in units of the currency; 0 before the first amount above 0.
    mean: f64,
    variance: f64,
    /// The second of the last outlier; 0 if there was none.
    outlier: u32,
    /// The outliers that decay with 1, 7 and 14 days.
    outliers: [f32; 3],
    greatest: f32,
    /// The mean of the logarithm of the amount relative to the merchant's geometric mean.
    level: f32,
    /// The latitude and the longitude of the last purchase in person.
    place: (f32, f32),
    /// The second of the last purchase in person with a place; 0 if there was none.
    placed: u32,
    amounts: u8,
    levels: u8,
    modes: u16,
    /// Short keys of the last countries, the newest first; 0 for none.
    countries: [u16; 4],
    /// Short keys of the last merchants, the newest first, and purchases minus refunds at each.
    merchants: [u16; MERCHANTS],
    balances: [i8; MERCHANTS],
    recent: Recent,
}

impl Entry for Card {
    fn new(key: Key) -> Self {
        Self {
            key,
            last: i64::MIN,
            mean: 0.0,
            variance: 0.0,
            outlier: 0,
            outliers: [0.0; 3],
            greatest: 0.0,
            level: 0.0,
            place: (0.0, 0.0),
            placed: 0,
            amounts: 0,
            levels: 0,
            modes: 0,
            countries: [0; 4],
            merchants: [0; MERCHANTS],
            balances: [0; MERCHANTS],
            recent: Recent::default(),
        }
    }

    fn key(&self) -> Key {
        self.key
    }
}

/// Moves what is at a place of a list to its front.
fn bring_to_front<T: Copy>(list: &mut [T], at: usize) {
    let moved = list[at];
    list.copy_within(..at, 1);
    list[0] = moved;
}

impl Card {
    /// Decays the counts until a time, and returns the days since the newest transaction; NaN for the first.
    ///
    /// A time before the newest one changes nothing, unless it is more than a day before it: then the newest one came
    /// from a wrong clock.
    pub(crate) fn advance(&mut self, time: i64) -> f64 {
        if self.last == i64::MIN {
            self.last = time;
            return f64::NAN;
        }
        let gap = days((time - self.last).max(0));
        if gap > 0.0 {
            // One exponential serves all three: 14 days are twice 7 and 14 times 1.
            let slow = decay(gap, 14.0);
            let middle = slow * slow;
            let fast = middle * middle * middle * middle * middle * middle * middle;
            self.outliers[0] *= fast as f32;
            self.outliers[1] *= middle as f32;
            self.outliers[2] *= slow as f32;
            self.greatest *= slow as f32;
        }
        if time > self.last || time < self.last - DAY {
            self.last = time;
        }
        gap
    }

    /// Returns the mean of amounts; None before the first amount above 0.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.mean > 0.0).then_some(self.mean)
    }

    fn is_outlier(&self, amount: f64) -> bool {
        self.amounts >= SETTLED && amount > OUTLIER * self.mean
    }

    /// Sets the features. `gap` is what [`advance`](Self::advance) returned.
    pub(crate) fn features(&self, seen: &Seen, carried: Carried, gap: f64, log_amount: f64, features: &mut Features) {
        use Feature as F;
        let now = second_of(seen.time);
        let ratio = f64::from(carried.ratio);
        features.set(F::CardRatio, ratio);
        if self.mean > 0.0 {
            let deviation = self.variance.sqrt().max(LEAST_DEVIATION * self.mean);
            features.set(F::CardZ, (seen.amount - self.mean) / deviation);
        }
        features.set(F::CardAmounts, f64::from(self.amounts));
        features.set(F::CardSinceLast, gap);
        if self.outlier > 0 {
            features.set(F::CardSinceOutlier, f64::from(now.saturating_sub(self.outlier)) / 86_400.0);
        }
        for (feature, value) in
            [F::CardOutliers1d, F::CardOutliers7d, F::CardOutliers14d].into_iter().zip(self.outliers)
        {
            features.set(feature, f64::from(value));
        }
        features.set(F::CardGreatestRatio, f64::from(self.greatest));
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        if seen.merchant_name != 0 {
            features.set(F::CardNewMerchant, flag(self.merchant_at(seen).is_none()));
            let balance = self.merchant_at(seen).map_or(0, |at| i32::from(self.balances[at]));
            let beyond = i32::from(seen.is_refund) - balance;
            features.set(F::CardRefundsBeyond, f64::from(beyond.max(0)));
        }
        if seen.country != 0 {
            features.set(F::CardNewCountry, flag(!self.countries.contains(&seen.country)));
        }
        if seen.mode != 0 {
            features.set(F::CardNewMode, flag(self.modes & seen.mode == 0));
        }
        self.recent.features(now, seen, log_amount, features);
        if let Some(distance) = self.distance(seen) {
            let hours = f64::from(now.saturating_sub(self.placed)) / 3_600.0;
            features.set(F::CardDistance, distance);
            features.set(F::CardSpeed, distance / hours.max(0.1));
        }
        features.set(F::CardLevel, f64::from(carried.level) - f64::from(self.level));
    }

    fn merchant_at(&self, seen: &Seen) -> Option<usize> {
        self.merchants.iter().position(|merchant| *merchant == seen.merchant_name)
    }

    /// Returns the km from the last purchase in person to this one.
    fn distance(&self, seen: &Seen) -> Option<f64> {
        let (latitude, longitude) = seen.place.filter(|_| seen.is_present && !seen.is_refund && self.placed > 0)?;
        let north = f64::from(latitude) - f64::from(self.place.0);
        let mut east = f64::from(longitude) - f64::from(self.place.1);
        if north == 0.0 && east == 0.0 {
            return Some(0.0);
        }
        if east.abs() > 180.0 {
            east -= 360f64.copysign(east);
        }
        let between = f64::midpoint(f64::from(latitude), f64::from(self.place.0));
        let east = east * cos(between.to_radians());
        Some(DEGREE * (north * north + east * east).sqrt())
    }

    /// Returns whether it is night at the card's last place, or at the transaction's if there is none.
    fn is_night(&self, seen: &Seen) -> bool {
        let longitude = if self.placed > 0 { Some(self.place.1) } else { seen.place.map(|place| place.1) };
        let Some(longitude) = longitude else { return false };
        // From 12 hours before midnight UTC to 36 hours after it.
        let hour = seen.time.rem_euclid(DAY) as f64 / 3.6e9 + f64::from(longitude) / 15.0;
        !((6.5 - 24.0..22.5 - 24.0).contains(&hour) || (6.5..22.5).contains(&hour) || (30.5..46.5).contains(&hour))
    }

    /// Adds a transaction. [`advance`](Self::advance) must have been called.
    pub(crate) fn fold(&mut self, seen: &Seen, carried: Carried, log_amount: f64) {
        let now = second_of(seen.time);
        let is_new = seen.merchant_name != 0 && self.merchant_at(seen).is_none();
        let is = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.recent.push(One {
            second: now,
            log_amount: One::step_of(log_amount),
            flags: is(seen.is_online, One::ONLINE)
                | is(seen.is_present, One::PRESENT)
                | is(seen.is_refund, One::REFUND)
                | is(seen.is_declined, One::DECLINED)
                | is(carried.is_tiny(seen), One::TINY)
                | is(is_new, One::NEW)
                | is(self.is_night(seen), One::NIGHT),
            tested: carried.tested,
        });
        self.fold_amount(seen, carried, now);
        self.fold_names(seen);
        if let Some(place) = seen.place.filter(|_| seen.is_present && !seen.is_refund) {
            (self.place, self.placed) = (place, now.max(1));
        }
    }

    fn fold_amount(&mut self, seen: &Seen, carried: Carried, now: u32) {
        if seen.is_refund {
            return;
        }
        if self.mean <= 0.0 {
            // The carried ratio is of the amount at which the card begins. A recovery, which has the ratio but perhaps
            // not the merchant's mean of that time, begins at the same bits.
            let ratio = f64::from(carried.ratio);
            if !(seen.amount > 0.0 && ratio > 0.0) {
                return;
            }
            self.mean = (seen.amount / ratio).max(LEAST_MEAN);
            let deviation = FIRST_DEVIATION * self.mean;
            self.variance = deviation * deviation;
        }
        let is_outlier = self.is_outlier(seen.amount);
        self.greatest = self.greatest.max(carried.ratio);
        if is_outlier {
            self.outlier = now.max(1);
            self.outliers.iter_mut().for_each(|count| *count += 1.0);
        }
        if seen.is_declined {
            return;
        }
        if is_outlier {
            let weight = OUTLIER_WEIGHT / (f64::from(self.amounts) + START);
            self.mean += (OUTLIER - 1.0) * self.mean * weight;
            return;
        }
        self.amounts = (self.amounts + 1).min(MOST);
        let step = seen.amount - self.mean;
        let weight = 1.0 / (f64::from(self.amounts) + START);
        self.mean = (self.mean + step * weight).max(LEAST_MEAN);
        self.variance += (step * (seen.amount - self.mean) - self.variance) * weight;
        if carried.level.is_finite() {
            self.levels = (self.levels + 1).min(MOST);
            self.level += (carried.level - self.level) / (f32::from(self.levels) + START as f32);
        }
    }

    fn fold_names(&mut self, seen: &Seen) {
        if seen.merchant_name != 0 {
            let at = self.merchant_at(seen);
            let place = at.unwrap_or(MERCHANTS - 1);
            bring_to_front(&mut self.merchants, place);
            bring_to_front(&mut self.balances, place);
            self.merchants[0] = seen.merchant_name;
            let balance = if at.is_some() { self.balances[0] } else { 0 };
            let change = i8::from(!seen.is_declined) * if seen.is_refund { -1 } else { 1 };
            self.balances[0] = balance.saturating_add(change);
        }
        if seen.country != 0 {
            let at = self.countries.iter().position(|country| *country == seen.country).unwrap_or(3);
            bring_to_front(&mut self.countries, at);
            self.countries[0] = seen.country;
        }
        self.modes |= seen.mode;
    }
}

/// The windows of the counts of recent transactions, in seconds.
const TIMES: Times =
    Times { hour: 3_600, present: 7_200, day: 86_400, tiny: 40 * 3_600, online: 76 * 3_600, refunds: 8 * 86_400 };
