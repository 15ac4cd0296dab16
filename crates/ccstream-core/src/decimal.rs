//! Converts decimal texts to integers exactly, without floats.

/// Explains why a decimal text cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// The text is not a JSON number.
    NotANumber,
    /// The number has a digit other than 0 after the last decimal place that is stored.
    TooFine,
    /// The number exceeds the largest value.
    TooLarge,
}

/// Holds a JSON number as `significant * 10^exponent`, without trailing zeros in `significant`.
struct Decimal {
    negative: bool,
    /// None if there are more digits than any field holds.
    significant: Option<u64>,
    /// The number of digits in `significant`.
    digits: i64,
    exponent: i64,
}

/// Holds the parts of a number's text. The caller checks that `whole` and `fraction` consist of digits.
pub(crate) struct Written<'a> {
    pub(crate) negative: bool,
    pub(crate) whole: &'a str,
    pub(crate) fraction: &'a str,
    pub(crate) exponent: i64,
}

impl<'a> Written<'a> {
    /// Splits a number at its sign, decimal point and exponent; None if a part is missing or the exponent is invalid.
    /// Leading zeros are allowed, unlike in JSON.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], read_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        (!whole.is_empty()).then_some(Self { negative, whole, fraction, exponent })
    }
}

fn read(text: &str) -> Option<Decimal> {
    let Written { negative, whole, fraction, exponent } = Written::read(text)?;
    let mut significant = Some(0u64);
    let (mut digits, mut zeros) = (0i64, 0i64);
    for byte in whole.bytes().chain(fraction.bytes()) {
        match byte {
            b'0' if digits == 0 => {}
            b'0' => zeros += 1,
            b'1'..=b'9' => {
                digits += zeros + 1;
                significant = significant.and_then(|value| {
                    let scale = 10u64.checked_pow(u32::try_from(zeros + 1).ok()?)?;
                    value.checked_mul(scale)?.checked_add(u64::from(byte - b'0'))
                });
                zeros = 0;
            }
            _ => return None,
        }
    }
    let exponent = exponent.saturating_sub(fraction.len() as i64).saturating_add(zeros);
    Some(Decimal { negative, significant, digits, exponent })
}

/// Reads an exponent and limits its size to `1 << 40`, which does not change any result.
fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.bytes().fold(0i64, |value, byte| (value * 10 + i64::from(byte - b'0')).min(1 << 40));
    Some(if negative { -size } else { size })
}

/// Returns `text` times `10^places` as an integer. Fails if the result is not an integer, or its absolute value is
/// greater than `max`.
///
/// ```
/// use ccstream_core::decimal::{scaled, DecimalError};
/// assert_eq!(scaled("12.450", 2, 9_999_999_999), Ok(1245));
/// assert_eq!(scaled("1e2", 2, 9_999_999_999), Ok(10_000));
/// assert_eq!(scaled("12.345", 2, 9_999_999_999), Err(DecimalError::TooFine));
/// assert_eq!(scaled("1e400", 2, 9_999_999_999), Err(DecimalError::TooLarge));
/// ```
pub fn scaled(text: &str, places: u8, max: u64) -> Result<i64, DecimalError> {
    let number = read(text).ok_or(DecimalError::NotANumber)?;
    if number.digits == 0 {
        return Ok(0);
    }
    let shift = number.exponent.saturating_add(i64::from(places));
    if number.digits.saturating_add(shift) > 19 {
        return Err(DecimalError::TooLarge);
    }
    if shift < 0 {
        return Err(DecimalError::TooFine);
    }
    // There are at most 19 digits in all, so neither the power nor the product can overflow a u64.
    let scale = 10u64.pow(shift as u32);
    let size = number.significant.and_then(|value| value.checked_mul(scale)).ok_or(DecimalError::TooLarge)?;
    if size > max {
        return Err(DecimalError::TooLarge);
    }
    let size = i64::try_from(size).map_err(|_| DecimalError::TooLarge)?;
    Ok(if number.negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::DecimalError::{NotANumber, TooFine, TooLarge};
    use super::*;

    #[test]
    fn amounts() {
        let max = 9_999_999_999;
        for (text, expected) in [
            ("12.45", Ok(1245)),
            ("12.4500000000000000000000000", Ok(1245)),
            ("-12.5", Ok(-1250)),
            ("0", Ok(0)),
            ("-0.00", Ok(0)),
            ("0e400", Ok(0)),
            ("1e2", Ok(10_000)),
            ("1.245E+1", Ok(1245)),
            ("1245e-2", Ok(1245)),
            ("0.0000000000000000000000001245e27", Ok(12_450)),
            ("0.0000000000000000000000001245e25", Err(TooFine)),
            ("99999999.99", Ok(9_999_999_999)),
            ("100000000.00", Err(TooLarge)),
            ("1e400", Err(TooLarge)),
            ("1e99999999999999999999", Err(TooLarge)),
            ("123456789012345678901234567890", Err(TooLarge)),
            ("12.345", Err(TooFine)),
            ("1e-3", Err(TooFine)),
            ("1e-99999999999999999999", Err(TooFine)),
            ("0.00000000000000000000000000001", Err(TooFine)),
            ("NaN", Err(NotANumber)),
            ("Infinity", Err(NotANumber)),
            ("abc", Err(NotANumber)),
            ("", Err(NotANumber)),
            ("-", Err(NotANumber)),
            ("1.", Err(NotANumber)),
            (".5", Err(NotANumber)),
            ("+5", Err(NotANumber)),
            ("1e", Err(NotANumber)),
            ("1e+", Err(NotANumber)),
            ("1 ", Err(NotANumber)),
            ("1,000", Err(NotANumber)),
            ("1.2.3", Err(NotANumber)),
            ("١", Err(NotANumber)),
        ] {
            assert_eq!(scaled(text, 2, max), expected, "{text}");
        }
    }
}
