//! Finds and masks card numbers (PANs), which must never be stored.
//!
//! A card number has 12 to 19 digits, with the prefix and the length of an issuer, and passes the Luhn check (ISO/IEC
//! 7812-1, annex B). It is a whole run of digits, or groups of digits as they are printed on cards (groups of four with
//! a shorter last one, 4-6-5 or 4-6-4), separated by one space or hyphen each. Separators in other positions are not
//! ignored: if they were, one UUID in six hundred would be taken for a card number. A UUID as a whole is none, whatever
//! its groups are: one in three million ends with the twelve digits of a Maestro card.

use std::borrow::Cow;

/// Each entry is a range of prefixes (first, last, number of digits) and the lengths of the card numbers with these
/// prefixes. ISO/IEC 7812 leaves them to the card networks; <https://en.wikipedia.org/wiki/Payment_card_number>
/// collects the ranges that these have published. UATP is left out: by its prefix 1, one in ten of the numbers of 15
/// digits that begin with a 1 would be taken for a card number.
const ISSUERS: &[(u32, u32, u32, &[usize])] = &[
    (4, 4, 1, &[13, 16, 18, 19]),                       // Visa
    (51, 55, 2, &[16]),                                 // Mastercard
    (2221, 2720, 4, &[16]),                             // Mastercard
    (34, 34, 2, &[15]),                                 // American Express
    (37, 37, 2, &[15]),                                 // American Express
    (6011, 6011, 4, &[16, 17, 18, 19]),                 // Discover
    (644, 649, 3, &[16, 17, 18, 19]),                   // Discover
    (65, 65, 2, &[16, 17, 18, 19]),                     // Discover, RuPay, Troy, Verve
    (62, 62, 2, &[16, 17, 18, 19]),                     // UnionPay
    (81, 81, 2, &[16, 17, 18, 19]),                     // UnionPay, RuPay
    (3528, 3589, 4, &[16, 17, 18, 19]),                 // JCB, RuPay
    (1800, 1800, 4, &[15]),                             // JCB
    (2131, 2131, 4, &[15]),                             // JCB
    (300, 305, 3, &[14, 16, 17, 18, 19]),               // Diners Club
    (3095, 3095, 4, &[14, 16, 17, 18, 19]),             // Diners Club
    (36, 36, 2, &[14, 15, 16, 17, 18, 19]),             // Diners Club
    (38, 39, 2, &[14, 16, 17, 18, 19]),                 // Diners Club
    (5018, 5018, 4, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5019, 5019, 4, &[16]),                             // Dankort
    (5020, 5020, 4, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5038, 5038, 4, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5893, 5893, 4, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    (6304, 6304, 4, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    (6759, 6763, 4, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    (2200, 2204, 4, &[16, 17, 18, 19]),                 // Mir
    (60, 60, 2, &[16]),                                 // RuPay
    (82, 82, 2, &[16]),                                 // RuPay
    (508, 508, 3, &[16]),                               // RuPay
    (506_099, 506_198, 6, &[16, 18, 19]),               // Verve
    (507_865, 507_964, 6, &[16, 18, 19]),               // Verve
    (636, 636, 3, &[16, 17, 18, 19]),                   // InterPayment
    (637, 639, 3, &[16]),                               // InstaPayment
    (9792, 9792, 4, &[16]),                             // Troy
];

const MIN_DIGITS: usize = 12;
const MAX_DIGITS: usize = 19;
/// Maximum number of groups that are held at once, so that memory is bounded even for a gigabyte of digits.
const MAX_GROUPS: usize = 64;
/// A card number has fewer groups than this.
const ENOUGH_GROUPS: usize = 8;
/// Number of digits that stay readable in a masked number (PCI DSS 3.4 allows the last four).
const SHOWN: usize = 4;

/// Describes a digit and the bytes that represent it: in JSON, `\u0034` represents a 4.
#[derive(Clone, Copy)]
struct Digit {
    value: u8,
    at: usize,
    len: usize,
}

/// Classifies a character for the search.
enum Glyph {
    Digit(u8),
    Separator,
    Other,
}

/// Classifies the character at `at`, which may be escaped as `\u00XX`, and returns its length in bytes.
fn glyph(bytes: &[u8], at: usize) -> (Glyph, usize) {
    let (byte, len) = match bytes[at..] {
        [b'\\', b'u', b'0', b'0', high, low, ..] => match (hex(high), hex(low)) {
            (Some(high), Some(low)) => (high * 16 + low, 6),
            _ => (b'\\', 1),
        },
        _ => (bytes[at], 1),
    };
    let glyph = match byte {
        b'0'..=b'9' => Glyph::Digit(byte - b'0'),
        b' ' | b'-' => Glyph::Separator,
        _ => Glyph::Other,
    };
    (glyph, len)
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// The length of a UUID's text (RFC 9562, section 4).
const UUID: usize = 36;

/// Returns whether a UUID's text begins at `at`, with no letter or digit before or after it.
fn is_uuid(bytes: &[u8], at: usize) -> bool {
    let Some(text) = bytes.get(at..at + UUID) else { return false };
    // The hyphens come first, because nearly every other text lacks them.
    [8, 13, 18, 23].iter().all(|&hyphen| text[hyphen] == b'-')
        && [0..8, 9..13, 14..18, 19..23, 24..UUID]
            .into_iter()
            .all(|group| text[group].iter().all(u8::is_ascii_hexdigit))
        && !(at > 0 && bytes[at - 1].is_ascii_alphanumeric())
        && !bytes.get(at + UUID).is_some_and(u8::is_ascii_alphanumeric)
}

/// Calls `found` with the digits of each card number in `bytes`, in order, until it returns true.
fn search(bytes: &[u8], mut found: impl FnMut(&[Digit]) -> bool) {
    let mut digits: Vec<Digit> = Vec::new();
    // The index in `digits` at which each group of the current run begins. One separator is between two groups.
    let mut groups: Vec<usize> = Vec::new();
    let (mut at, mut separated) = (0, true);
    loop {
        let (glyph, len) = match at {
            at if at >= bytes.len() => (Glyph::Other, 0),
            at if is_uuid(bytes, at) => (Glyph::Other, UUID),
            at => glyph(bytes, at),
        };
        match glyph {
            Glyph::Digit(value) => {
                if separated {
                    if groups.len() == MAX_GROUPS {
                        let Some(next) = search_run(&digits, &groups, MAX_GROUPS - ENOUGH_GROUPS, &mut found) else {
                            return;
                        };
                        let begin = groups[next];
                        digits.drain(..begin);
                        groups.drain(..next);
                        for group in &mut groups {
                            *group -= begin;
                        }
                    }
                    groups.push(digits.len());
                    separated = false;
                }
                // One digit more than a card number can have is enough to know that the group is none.
                if digits.len() - groups[groups.len() - 1] <= MAX_DIGITS {
                    digits.push(Digit { value, at, len });
                }
            }
            Glyph::Separator if !separated => separated = true,
            _ => {
                if digits.len() >= MIN_DIGITS && search_run(&digits, &groups, groups.len(), &mut found).is_none() {
                    return;
                }
                digits.clear();
                groups.clear();
                separated = true;
            }
        }
        if at >= bytes.len() {
            return;
        }
        at += len;
    }
}

/// Searches a run of groups for card numbers that begin before group `to`. A card number is one group, groups of four
/// with a shorter last one, 4-6-5 or 4-6-4. Returns the first group that was not searched, or None once `found`
/// returns true.
fn search_run(
    digits: &[Digit],
    groups: &[usize],
    to: usize,
    found: &mut impl FnMut(&[Digit]) -> bool,
) -> Option<usize> {
    let end_of = |group: usize| groups.get(group + 1).copied().unwrap_or(digits.len());
    let size = |group: usize| end_of(group) - groups[group];
    let mut first = 0;
    while first < to {
        let start = groups[first];
        let mut last = first;
        let mut hit = None;
        loop {
            let number = &digits[start..end_of(last)];
            if is_card_number(number) {
                hit = Some(last);
            }
            let more = last + 1 < groups.len() && size(last + 1) <= 4;
            if !(size(last) == 4 && more && number.len() < MAX_DIGITS) {
                break;
            }
            last += 1;
        }
        let third = first + 2;
        if hit.is_none()
            && third < groups.len()
            && matches!((size(first), size(first + 1), size(third)), (4, 6, 4 | 5))
            && is_card_number(&digits[start..end_of(third)])
        {
            hit = Some(third);
        }
        if let Some(last) = hit {
            if found(&digits[start..end_of(last)]) {
                return None;
            }
            first = last;
        }
        first += 1;
    }
    Some(first)
}

fn is_card_number(digits: &[Digit]) -> bool {
    (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) && has_issuer(digits) && passes_luhn(digits)
}

fn has_issuer(digits: &[Digit]) -> bool {
    ISSUERS.iter().any(|&(from, to, prefix, lengths)| {
        let start = digits[..prefix as usize].iter().fold(0, |value, digit| value * 10 + u32::from(digit.value));
        (from..=to).contains(&start) && lengths.contains(&digits.len())
    })
}

fn passes_luhn(digits: &[Digit]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(digit.value)) {
            (0, value) => value,
            (_, value) if value > 4 => value * 2 - 9,
            (_, value) => value * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Returns whether a text contains a card number.
///
/// ```
/// use ccstream_core::card_number::is_in;
/// assert!(is_in("paid with 4111 1111 1111 1111"));
/// assert!(!is_in("0199f0c2-6d5e-7c3a-9d55-0a4b6c1d2e3f"));
/// assert!(!is_in("order 4111111111111112"), "fails the Luhn check");
/// ```
pub fn is_in(text: impl AsRef<[u8]>) -> bool {
    let bytes = text.as_ref();
    // Most texts are too short or have too few digits. Only the others are searched.
    if bytes.len() < MIN_DIGITS || bytes.iter().filter(|byte| byte.is_ascii_digit()).count() < MIN_DIGITS {
        return false;
    }
    let mut hit = false;
    search(bytes, |_| {
        hit = true;
        true
    });
    hit
}

/// Masks every card number in the bytes except for its last four digits. The result is borrowed if there is none.
///
/// ```
/// use ccstream_core::card_number::mask;
/// assert_eq!(&*mask(b"card 4111-1111-1111-1111."), b"card ****-****-****-1111.");
/// ```
pub fn mask(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut masked = Vec::new();
    if mask_in_pieces(bytes, |piece| masked.extend_from_slice(piece)) {
        Cow::Owned(masked)
    } else {
        Cow::Borrowed(bytes)
    }
}

/// Calls `piece` with consecutive pieces of what [`mask`] returns, without a copy. If there is no card number, `piece`
/// is not called and the result is false.
pub fn mask_in_pieces(bytes: &[u8], mut piece: impl FnMut(&[u8])) -> bool {
    let mut done = 0;
    search(bytes, |digits| {
        for digit in &digits[..digits.len() - SHOWN] {
            piece(&bytes[done..digit.at]);
            piece(&b"******"[..digit.len]);
            done = digit.at + digit.len;
        }
        false
    });
    if done > 0 {
        piece(&bytes[done..]);
    }
    done > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found() {
        for text in [
            "4111111111111111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
            "tok_4111111111111111x",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "3782 8224 6310 005",
            "3782-822463-10005",
            "3056 930902 5904",
            "630423337322",
            "6304 2333 7322",
            "180012345678905",
            "213112345678904",
            "2200123456789019",
            "9792123456789018",
            "6361234567890129",
            "5061234567890124",
            "8112345678901239",
            "call 12 4111 1111 1111 1111 now",
            "1234 4111 1111 1111 1111",
            "a 4111111111111112 then 4111111111111111",
            "0199f0c2-6d5e-7c3a-9d55-0a4b6c1d2e3f 4111111111111111",
            "x0199f0c2-6d5e-7c3a-9d55-630423337322",
            "0199f0c2-6d5e-7c3a-9d55-630423337322a",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn not_found() {
        for text in [
            "",
            "4111111111111112",
            "41111111111111111111",
            "411111111111111",
            "0000000000000000",
            "1111 1111 1111 1117",
            "4111  1111  1111  1111",
            "41111111-1111-1111",
            "12345678-4111-1111-1111-123456789012",
            "0199f0c2-6d5e-7c3a-9d55-630423337322",
            "01995018-6304-7123-9123-0a4b6c1d2e3f",
            "0199f0c2-6d5e-7c3a-9d55-0a4b6c1d2e3f",
            "2026-11-22T10:15:30.123456Z",
            "1732271730123",
            "tok_8f3c",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }

    #[test]
    fn masked() {
        for (text, expected) in [
            ("4111111111111111", "************1111"),
            ("a 4111 1111 1111 1111 b 378282246310005", "a **** **** **** 1111 b ***********0005"),
            ("clean", "clean"),
            (r#"{"m":"\u0034111111111111111"}"#, r#"{"m":"*****************1111"}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&mask(text.as_bytes())), expected, "{text}");
        }
        // These runs have more groups than are held at once. The run of digits below them is longer than a card number.
        let (number, hidden) = ("1234 4111 1111 1111 1111 ", "1234 **** **** **** 1111 ");
        for times in [12, 13, 14, 100] {
            assert_eq!(mask(number.repeat(times).as_bytes()), hidden.repeat(times).as_bytes(), "{times}");
        }
        let digits = "4111111111111111".repeat(1_000);
        assert!(!is_in(&digits) && is_in(format!("{digits} 4111111111111111")));
        assert!(matches!(mask(b"clean \xff bytes"), Cow::Borrowed(_)));
        assert_eq!(&*mask(b"\xff4111111111111111\xfe"), b"\xff************1111\xfe");
    }
}
