//! Hashes names to keys of 64 bits, in the same way on every machine and in every version.
//!
//! The state knows a card or a merchant by its key alone, so a name of any length takes 8 bytes, and tokens of cards are
//! not in snapshots. Among a million cards, two share a key with a probability of one in 37 million. Their histories
//! would then be one. The hash does not resist somebody who can choose tokens in order to make two of them collide.

/// Identifies a card, a merchant or a terminal.
pub type Key = u64;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FIRST: u64 = 0xbf58_476d_1ce4_e5b9;
const SECOND: u64 = 0x94d0_49bb_1331_11eb;

/// Returns the xor of both halves of a product of 128 bits.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Returns up to 8 bytes as a number, the first byte lowest.
fn word(bytes: &[u8]) -> u64 {
    if let Ok(eight) = bytes.try_into() {
        return u64::from_le_bytes(eight);
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Returns the key of a text.
pub fn of(text: &str) -> Key {
    let bytes = text.as_bytes();
    let mut hash = fold(SEED ^ bytes.len() as u64, FIRST);
    for chunk in bytes.chunks(16) {
        let (low, high) = chunk.split_at(chunk.len().min(8));
        hash = fold(word(low) ^ FIRST ^ hash, word(high) ^ SECOND ^ hash.rotate_left(32));
    }
    fold(hash ^ SECOND, SEED)
}

/// Returns the key of two things together. Their order matters.
///
/// ```
/// use ccstream_analysis::key;
/// assert_eq!(key::of("Alder Books"), key::of("Alder Books"));
/// assert_ne!(key::pair(1, 2), key::pair(2, 1));
/// ```
pub fn pair(first: Key, second: Key) -> Key {
    fold(first ^ FIRST, second.rotate_left(23) ^ SECOND)
}

/// Returns 16 bits of a key, never 0, which marks an empty place in a list.
pub(crate) fn short(key: Key) -> u16 {
    ((key >> 24) as u16).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_never_change() {
        // Snapshots hold keys: if these values change, every snapshot is invalid.
        for (found, key) in [
            (of(""), 0x6e22_46e8_4296_b78e),
            (of("a"), 0x8cb2_5e27_632b_7262),
            (of("card-0001"), 0x9a9c_1608_7e67_8469),
            (of("a name of more than sixteen bytes"), 0xecf0_76c9_ec83_335c),
            (pair(of("a"), of("b")), 0x959b_16c4_c7c6_6de2),
        ] {
            assert_eq!(found, key, "{found:#x}");
        }
    }

    #[test]
    fn similar_names_have_different_keys() {
        let names =
            (0..100_000).flat_map(|number| [format!("c{number}"), format!("{number:016}"), format!("{number:024}x")]);
        let names: Vec<String> = names.collect();
        let keys: HashSet<Key> = names.iter().map(|name| of(name)).collect();
        assert_eq!(keys.len(), names.len());
        let zeros: HashSet<Key> = (0..40).map(|length| of(&"\0".repeat(length))).collect();
        assert_eq!(zeros.len(), 40);
    }

    #[test]
    fn each_bit_is_set_in_half_of_the_keys() {
        for bit in 0..64 {
            let set = (0..10_000).filter(|number| of(&format!("t{number:04}")) >> bit & 1 == 1).count();
            assert!((4_700..5_300).contains(&set), "bit {bit}: {set} of 10,000");
        }
    }
}
