//! Encodes single values as JSON.

use crate::units::Micros;

/// Appends a text as a JSON string.
pub(crate) fn push_text(text: &str, out: &mut Vec<u8>) {
    if first_special(text.as_bytes()).is_some() {
        return serde_json::to_writer(out, text).expect("writing to memory");
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends a number of hundredths as a decimal number with two decimals.
pub(crate) fn push_hundredths(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let size = value.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(size / 100).as_bytes());
    let cents = (size % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + cents / 10, b'0' + cents % 10]);
}

/// Appends a timestamp in the form `"2026-11-22T10:15:30.123456Z"`.
pub(crate) fn push_timestamp(timestamp: Micros, out: &mut Vec<u8>) {
    let moment = timestamp.to_utc();
    let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
    put_digits(&mut text[1..5], moment.year().into());
    put_digits(&mut text[6..8], moment.month().into());
    put_digits(&mut text[9..11], moment.day().into());
    put_digits(&mut text[12..14], moment.hour().into());
    put_digits(&mut text[15..17], moment.minute().into());
    put_digits(&mut text[18..20], moment.second().into());
    put_digits(&mut text[21..27], timestamp.0.rem_euclid(1_000_000));
    out.extend_from_slice(&text);
}

fn put_digits(place: &mut [u8], mut value: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Finds the first quote, backslash or control character, all of which JSON escapes. It compares eight bytes at a time.
pub(crate) fn first_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;
    // The lowest set bit marks the first byte below the bound. Higher bits may be set wrongly, by a borrow.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    let in_word = |word: u64| {
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let found = below(word, 0x20) | is(b'"') | is(b'\\');
        (found != 0).then(|| found.trailing_zeros() as usize / 8)
    };
    let eight = |start: usize| {
        let word = u64::from_le_bytes(bytes[start..start + 8].try_into().expect("eight bytes"));
        in_word(word).map(|at| start + at)
    };
    let four = |start: usize| u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four bytes"));
    // The last word may overlap the one before it, in which nothing was found.
    match bytes.len() {
        length @ 8.. => (0..length - 8).step_by(8).find_map(eight).or_else(|| eight(length - 8)),
        length @ 4.. => in_word(u64::from(four(0)) | u64::from(four(length - 4)) << 32)
            .map(|at| if at < 4 { at } else { length + at - 8 }),
        _ => bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte() {
        for special in [b'"', b'\\', b'\n', 0, 0x1f] {
            for (len, at) in (2..=20).flat_map(|len| (0..len).map(move |at| (len, at))) {
                let mut text = vec![b'~'; len];
                text[at] = special;
                // These bytes are not special: bytes beyond ASCII, and the neighbours of special ones.
                for other in [0xff, 0x80, 0x20, b'#', b'!', b']', b'['] {
                    text[(at + 1) % len] = other;
                    assert_eq!(first_special(&text), Some(at), "{special} at {at} before {other}");
                }
            }
        }
        assert_eq!(first_special(&[b'a'; 30]), None);
    }
}
