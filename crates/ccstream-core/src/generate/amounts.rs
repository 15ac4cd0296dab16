//! Amounts, in whole hundredths of a currency.

use super::chance::Chance;
use super::cities::Country;
use crate::units::Cents;

/// An amount in a country's currency. The endings are those of public purchase-card data: 21 % .00, 5 % .99, 4.5 % .50.
pub(super) fn price(dollars: f64, country: &Country, chance: &mut Chance) -> Cents {
    let cents = (dollars * country.per_dollar * 100.0 + 0.5).clamp(1.0, Cents::MAX.0 as f64) as i64;
    let ending = chance.below(1000);
    if country.whole {
        return Cents((cents / 100).max(1) * 100);
    }
    let units = cents - cents % 100;
    Cents(match ending {
        0..210 if units > 0 => units,
        210..260 => units + 99,
        260..305 => units + 50,
        _ => cents,
    })
}

/// A part of an amount. It is in whole units if the amount is.
pub(super) fn part(cents: i64, share: f64) -> i64 {
    if share >= 1.0 {
        return cents;
    }
    let part = ((cents as f64 * share) as i64).max(1);
    if cents % 100 == 0 { (part / 100).max(1) * 100 } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::chance::Matter;
    use crate::generate::cities::CITIES;

    #[test]
    fn endings_and_whole_currencies() {
        let mut chance = Chance::of(1, Matter::Stream, 0);
        let country = |code| CITIES.iter().find(|city| city.country.code == code).map(|city| city.country);
        let (euro, yen) = (country("DE").unwrap(), country("JP").unwrap());
        let mut endings = [0; 100];
        for _ in 0..100_000 {
            let dollars = chance.between(1.0, 500.0);
            endings[(price(dollars, euro, &mut chance).0 % 100) as usize] += 1;
            let whole = price(dollars, yen, &mut chance);
            assert!(whole.0 % 100 == 0 && whole.0 > 0);
        }
        for (ending, share) in [(0, 0.217), (99, 0.057), (50, 0.052)] {
            let found = f64::from(endings[ending]) / 100_000.0;
            assert!((found - share).abs() < 0.004, "{found} end in {ending}");
        }
        assert_eq!((part(1999, 0.5), part(2000, 0.26), part(100, 0.1), part(1, 0.1)), (999, 500, 100, 1));
    }
}
