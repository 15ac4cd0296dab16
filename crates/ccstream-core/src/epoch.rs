//! Reads times that are numbers since 1970. The number of digits before the decimal point determines the unit: current
//! times have 10 digits in seconds and 13 in milliseconds.

use crate::decimal::Written;
use crate::units::Micros;

/// Returns the power of ten that converts a number with these digits before the point to microseconds; `docs/data.md`
/// has the table of units. The error says what the number looks like and what to send.
fn shift_to_micros(digits: i64) -> Result<i64, &'static str> {
    match digits {
        // These are seconds, milliseconds, microseconds and nanoseconds.
        10 => Ok(6),
        12 | 13 => Ok(3),
        15 | 16 => Ok(0),
        18 | 19 => Ok(-3),
        8 => Err("has 8 digits; is it a date? Send a date as 2026-11-22"),
        14 => Err("has 14 digits; is it a date and time? Send these as 2026-11-22T10:15:30Z"),
        9 | 11 => Err(
            "has 9 or 11 digits, so its unit is unclear: seconds have 10 digits, milliseconds 12 or 13, microseconds \
             15 or 16, nanoseconds 18 or 19",
        ),
        _ => Err("is not a time since 1970: seconds have 10 digits, milliseconds 12 or 13, microseconds 15 or 16, \
                  nanoseconds 18 or 19"),
    }
}

/// Returns whether a text is a JSON number. Leading zeros are allowed, unlike in JSON.
pub(crate) fn is_number(text: &str) -> bool {
    Digits::read(text).is_some()
}

/// Reads a number since 1970. A fraction counts in the number's unit and is cut to whole microseconds. If the text is
/// not a number or the moment cannot be stored, the error says why, in words that follow the text.
///
/// ```
/// use ccstream_core::epoch::parse_epoch;
/// use ccstream_core::event::Micros;
/// assert_eq!(parse_epoch("1795342530.1234567"), Ok(Micros(1_795_342_530_123_456)));
/// assert_eq!(parse_epoch("1795342530123"), Ok(Micros(1_795_342_530_123_000)));
/// assert!(parse_epoch("20261122").unwrap_err().contains("is it a date?"));
/// ```
pub fn parse_epoch(text: &str) -> Result<Micros, &'static str> {
    let number = Digits::read(text).ok_or("is not a number")?;
    if number.negative {
        return Err(Micros::OUT_OF_RANGE);
    }
    let shift = shift_to_micros(number.point)?;
    // There are at most 16 digits, whatever the unit.
    let micros = (0..number.point + shift).fold(0, |micros, at| micros * 10 + number.digit(at));
    Micros::in_range(micros)
}

/// Holds the digits of a number and the position of its decimal point.
struct Digits<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// The number of digits before the point, leading zeros not counted, after the exponent is applied.
    point: i64,
    /// The number of leading zeros.
    skip: i64,
}

impl<'a> Digits<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let Written { negative, whole, fraction, exponent } = Written::read(text)?;
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let skip = whole.bytes().chain(fraction.bytes()).take_while(|byte| *byte == b'0').count() as i64;
        let point = whole.len() as i64 + exponent - skip;
        Some(Self { negative, whole: whole.as_bytes(), fraction: fraction.as_bytes(), point, skip })
    }

    /// Returns the digit at an index that counts from the first significant digit; 0 after the last written digit.
    fn digit(&self, at: i64) -> i64 {
        let at = (at + self.skip) as usize;
        let byte = self.whole.get(at).or_else(|| self.fraction.get(at.wrapping_sub(self.whole.len())));
        byte.map_or(0, |byte| i64::from(byte - b'0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_digits() {
        let digits = "17953425301234567891";
        for count in 1..=20 {
            let read = parse_epoch(&digits[..count]);
            // Each is a moment to the precision of its digits.
            let expected = match count {
                10 => Ok(1_795_342_530_000_000),
                12 => Ok(179_534_253_012_000),
                13 => Ok(1_795_342_530_123_000),
                15 | 18 => Ok(179_534_253_012_345),
                16 | 19 => Ok(1_795_342_530_123_456),
                8 => Err("a date?"),
                14 => Err("a date and time?"),
                9 | 11 => Err("unit is unclear"),
                _ => Err("seconds have 10 digits"),
            };
            match (read, expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, Micros(expected), "{count}"),
                (Err(read), Err(expected)) => assert!(read.contains(expected), "{count}: {read}"),
                (read, expected) => panic!("{count}: {read:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn fractions_count_in_the_unit_and_are_cut() {
        for (text, micros) in [
            ("1795342530.5", 1_795_342_530_500_000),
            ("1795342530.12345678901234567890", 1_795_342_530_123_456),
            ("1795342530123.9999", 1_795_342_530_123_999),
            ("1795342530123456.9", 1_795_342_530_123_456),
            ("1795342530123456789.9", 1_795_342_530_123_456),
            ("1.7953425305e9", 1_795_342_530_500_000),
            ("1.795342530123E+12", 1_795_342_530_123_000),
            ("17953425300e-1", 1_795_342_530_000_000),
            ("0.01795342530123e+14", 1_795_342_530_123_000),
            ("0001795342530", 1_795_342_530_000_000),
        ] {
            assert_eq!(parse_epoch(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn texts_that_are_not_times() {
        for text in
            ["-1795342530", "9999999999", "0", "1e400", "1e-400", "1e99999999999999999999", "", "x", "1.", ".5", "1e"]
        {
            assert!(parse_epoch(text).is_err(), "{text}");
        }
    }
}
