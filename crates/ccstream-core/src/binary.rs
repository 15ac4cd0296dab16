//! Encodes values for PostgreSQL's binary COPY.

/// A binary COPY begins with these bytes: the signature, no flags, no header extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A binary COPY ends with these bytes.
pub const COPY_TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// PostgreSQL's epoch is 2000-01-01, this number of microseconds after 1970-01-01.
pub const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Appends a field: its length in 4 bytes, then the value.
pub(crate) fn push_bytes(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
}

/// Appends hundredths as a field of type NUMERIC with two decimals. The format has base-10,000 digits, aligned at the
/// decimal point (`numeric_recv` in PostgreSQL's numeric.c).
pub fn push_numeric(hundredths: i64, out: &mut Vec<u8>) {
    const NEGATIVE: u16 = 0x4000;
    let size = hundredths.unsigned_abs();
    let (mut whole, fraction) = (size / 100, (size % 100 * 100) as u16);
    let mut digits = [0u16; 6];
    digits[5] = fraction;
    let mut first = 5;
    while whole > 0 {
        first -= 1;
        digits[first] = (whole % 10_000) as u16;
        whole /= 10_000;
    }
    let end = if fraction == 0 { 5 } else { 6 };
    let digits = &digits[first.min(end)..end];
    let weight = 4 - first as i16;
    let sign = if hundredths < 0 { NEGATIVE } else { 0 };
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&2u16.to_be_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a binary NUMERIC into hundredths, by the definition of the format.
    fn read_numeric(bytes: &[u8]) -> i64 {
        let word = |at: usize| i16::from_be_bytes([bytes[4 + at * 2], bytes[5 + at * 2]]);
        let (count, weight, sign, scale) = (word(0), word(1), word(2), word(3));
        assert_eq!((bytes.len(), scale), (12 + 2 * count as usize, 2));
        let mut value = 0f64;
        for place in 0..count {
            value += f64::from(word(4 + place as usize)) * 10_000f64.powi(i32::from(weight - place));
        }
        let value = (value * 100.0).round() as i64;
        if sign == 0x4000 { -value } else { value }
    }

    #[test]
    fn numerics() {
        for value in
            [0, 1, -1, 99, 100, 101, 12345, -12345, 1_000_000, 999_999, 1_000_001, 9_999_999_999, -9_999_999_999]
        {
            let mut out = Vec::new();
            push_numeric(value, &mut out);
            assert_eq!(read_numeric(&out), value);
        }
    }
}
