//! Ids of events.

use super::chance::Chance;

/// Draws a UUIDv7. Its 12 bits after the milliseconds are the fraction of a millisecond (RFC 9562, 6.2, method 3), so
/// that ids are in the order of their times.
pub(super) fn id(time: i64, chance: &mut Chance) -> [u8; 16] {
    let micros = time.max(0) as u64;
    let fraction = (micros % 1000) * 4096 / 1000;
    let upper = (micros / 1000) << 16 | 0x7000 | fraction;
    let lower = (chance.bits() >> 2) | (1 << 63);
    (u128::from(upper) << 64 | u128::from(lower)).to_be_bytes()
}

/// Writes an id as text.
pub(super) fn text_of(id: &[u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    /// Where the digits of each byte begin.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; 36];
    for (byte, at) in id.iter().zip(PLACES) {
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// The text of an id as a string.
pub(super) fn as_str(text: &[u8; 36]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::chance::Matter;

    #[test]
    fn ids_of_one_millisecond_are_in_the_order_of_time() {
        let ids: Vec<[u8; 16]> =
            (0..1_000).map(|time| id(time, &mut Chance::of(1, Matter::Stream, time as u64))).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn an_id_has_version_variant_and_time() {
        for number in 0..1_000 {
            let time = 1_795_342_530_000_000 + number * 7;
            let text = text_of(&id(time, &mut Chance::of(1, Matter::Stream, number as u64)));
            let text = std::str::from_utf8(&text).unwrap();
            let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'-').collect();
            let dashes: Vec<usize> = text.match_indices('-').map(|dash| dash.0).collect();
            assert_eq!((digits.len(), dashes), (32, vec![8, 13, 18, 23]));
            assert!(digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
            assert_eq!(digits[12], b'7', "the version");
            assert!(matches!(digits[16], b'8' | b'9' | b'a' | b'b'), "the variant");
            assert_eq!(i64::from_str_radix(&text.replace('-', "")[..12], 16).unwrap(), time / 1_000);
        }
    }
}
