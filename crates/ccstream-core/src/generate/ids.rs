//! Ids of events.

use super::chance::Chance;

/// A UUIDv7 whose 12 bits after the milliseconds are the fraction of one (RFC 9562, 6.2, method 3), so that ids are in
/// the order of their times.
pub(super) fn id(time: i64, chance: &mut Chance) -> [u8; 16] {
    let micros = time.max(0) as u64;
    let fraction = (micros % 1000) * 4096 / 1000;
    let upper = (micros / 1000) << 16 | 0x7000 | fraction;
    let lower = (chance.bits() >> 2) | (1 << 63);
    (u128::from(upper) << 64 | u128::from(lower)).to_be_bytes()
}

/// Writes an id as text in the place of another.
pub(super) fn write_id(id: &[u8; 16], text: &mut String) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    text.clear();
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::chance::Matter;

    #[test]
    fn an_id_has_version_variant_and_time() {
        let mut text = String::new();
        for number in 0..1_000 {
            let time = 1_795_342_530_000_000 + number * 7;
            write_id(&id(time, &mut Chance::of(1, Matter::Stream, number as u64)), &mut text);
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
