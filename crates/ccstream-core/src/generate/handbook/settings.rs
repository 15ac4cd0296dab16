//! Declares the constants of the Handbook's world, which the text of the preset can change.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The number of days from 1970 to 2099, the years that timestamps may have.
const ALL_DAYS: u32 = 47_482;
/// The maximum of `customers` times `daily_max`. It bounds memory, because a day's transactions are held at once.
const MOST_A_DAY: f64 = 1e7;

/// Declares [`Settings`] from a list of constants, each with its meaning, type, default and range.
macro_rules! constants {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $range:expr;)+) => {
        /// Holds the constants of the Handbook's world. The defaults are the published ones, except for `days`.
        ///
        /// ```
        /// use ccstream_core::generate::handbook::Settings;
        /// let settings: Settings = "handbook,customers=500,radius=10".parse().unwrap();
        /// assert_eq!((settings.customers, settings.terminals, settings.radius), (500, 10_000, 10.0));
        /// assert_eq!(settings.to_string(), "handbook,customers=500,radius=10");
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Settings {
            /// Lists the names of the constants.
            const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Sets a constant from its text; None if no constant has the name.
            fn set(&mut self, name: &str, text: &str) -> Option<Result<()>> {
                match name {
                    $(stringify!($name) => {
                        let value = text.parse().map_err(|_| refused(name, text, &$range));
                        Some(value.map(|value| self.$name = value))
                    })+
                    _ => None,
                }
            }

            fn check_ranges(&self) -> Result<()> {
                $(if !$range.contains(&self.$name) {
                    return Err(refused(stringify!($name), &self.$name.to_string(), &$range));
                })+
                Ok(())
            }
        }

        impl fmt::Display for Settings {
            /// Writes the text of the preset, with the constants that are not the defaults.
            #[allow(clippy::float_cmp, reason = "a constant that was not changed is exactly its default")]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let default = Self::default();
                f.write_str(PRESET)?;
                $(if self.$name != default.$name {
                    write!(f, ",{}={}", stringify!($name), self.$name)?;
                })+
                Ok(())
            }
        }
    };
}

constants! {
    /// The number of customers, each with one card.
    customers: u32 = 5_000, 1..=1_000_000;
    /// The number of terminals.
    terminals: u32 = 10_000, 1..=1_000_000;
    /// The number of days. By default, the world ends with the year 2099.
    days: u32 = ALL_DAYS, 1..=ALL_DAYS;
    /// The side of the square in which customers and terminals are uniformly distributed.
    side: f64 = 100.0, 0.001..=1e6;
    /// The distance from a customer within which terminals are used.
    radius: f64 = 5.0, 0.001..=1e6;
    /// The smallest mean amount of a customer.
    mean_min: f64 = 5.0, 0.01..=10_000.0;
    /// The largest mean amount of a customer.
    mean_max: f64 = 100.0, 0.01..=10_000.0;
    /// The standard deviation of a customer's amounts, as a multiple of the mean.
    deviation: f64 = 0.5, 0.0..=10.0;
    /// The limit of the uniform distribution from which a negative amount is drawn again, as a multiple of the mean.
    redraw: f64 = 2.0, 0.01..=10.0;
    /// The smallest mean number of transactions of a customer per day.
    daily_min: f64 = 0.0, 0.0..=100.0;
    /// The largest mean number of transactions of a customer per day.
    daily_max: f64 = 4.0, 0.01..=100.0;
    /// The mean second of the day.
    second_mean: f64 = 43_200.0, 1.0..=86_399.0;
    /// The standard deviation of the second of the day. Transactions outside the day are dropped.
    second_deviation: f64 = 20_000.0, 0.0..=100_000.0;
    /// Scenario 1: the amount above which a transaction is fraud.
    s1_above: f64 = 220.0, 0.0..=1e8;
    /// Scenario 2: the number of terminals compromised each day.
    s2_terminals: u32 = 2, 0..=1_000;
    /// Scenario 2: the number of days that a terminal is compromised.
    s2_days: u32 = 28, 1..=365;
    /// Scenario 3: the number of customers whose credentials leak each day.
    s3_customers: u32 = 3, 0..=1_000;
    /// Scenario 3: the number of days that leaked credentials are used.
    s3_days: u32 = 14, 1..=365;
    /// Scenario 3: the share of these customers' transactions that are fraud, rounded down to a whole number.
    s3_share: f64 = 1.0 / 3.0, 0.0..=1.0;
    /// Scenario 3: the factor by which the fraud's amounts are multiplied.
    s3_factor: f64 = 5.0, 0.01..=1_000.0;
    /// The share of frauds that are labelled.
    labelled: f64 = 1.0, 0.0..=1.0;
}

/// The name of the preset.
const PRESET: &str = "handbook";
/// The name of the setting that holds the preset's text.
const SETTING: &str = "preset";

fn refused<T: fmt::Display>(name: &str, text: &str, range: &RangeInclusive<T>) -> Error {
    Error::config(SETTING, format!("{name}: {text:?} is not a number from {} to {}", range.start(), range.end()))
}

impl Settings {
    /// Fails with [`Error::Config`] if a constant is out of range or does not fit another one.
    pub fn validate(&self) -> Result<()> {
        self.check_ranges()?;
        let fail = |why: String| Err(Error::config(SETTING, why));
        for (low, high, name) in [(self.mean_min, self.mean_max, "mean"), (self.daily_min, self.daily_max, "daily")] {
            if low > high {
                return fail(format!("{name}_min is {low}, above {name}_max, which is {high}"));
            }
        }
        for (some, all, name, of) in [
            (self.s2_terminals, self.terminals, "s2_terminals", "terminals"),
            (self.s3_customers, self.customers, "s3_customers", "customers"),
        ] {
            if some > all {
                return fail(format!("{name} is {some}, above {of}, which is {all}"));
            }
        }
        let busiest = f64::from(self.customers) * self.daily_max;
        if busiest > MOST_A_DAY {
            return fail(format!("customers times daily_max is {busiest}; the maximum is {MOST_A_DAY}"));
        }
        Ok(())
    }
}

impl FromStr for Settings {
    type Err = Error;

    /// Reads `handbook` or `handbook,NAME=VALUE,...`. Fails with [`Error::Config`] if the text or a value is invalid.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(',').map(str::trim);
        let preset = parts.next().unwrap_or_default();
        if preset != PRESET {
            return Err(Error::config(SETTING, format!("{preset:?} is not a preset; the only preset is {PRESET}")));
        }
        let mut settings = Self::default();
        let mut given: Vec<&str> = Vec::new();
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(Error::config(SETTING, format!("{part:?} is not NAME=VALUE")));
            };
            let (name, value) = (name.trim(), value.trim());
            if given.contains(&name) {
                return Err(Error::config(SETTING, format!("{name} is given twice; give it once")));
            }
            given.push(name);
            settings.set(name, value).unwrap_or_else(|| {
                let names = Self::NAMES.join(", ");
                Err(Error::config(SETTING, format!("{name:?} is not a constant of {PRESET}, which has {names}")))
            })?;
        }
        settings.validate()?;
        Ok(settings)
    }
}
