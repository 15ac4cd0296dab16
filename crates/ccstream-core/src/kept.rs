//! Prepares the parts of a dead letter for storage: their bytes are masked, hashed and limited in size.

use sha2::{Digest, Sha256};

use crate::card_number;

/// The maximum number of bytes that is kept of a payload, and of a key.
pub const MAX_KEPT_BYTES: usize = 64 << 10;

/// Holds the payload or the key of a dead letter as it is stored. Card numbers are masked before it is truncated, so a
/// card number at the limit is masked too.
///
/// ```
/// use ccstream_core::kept::Kept;
/// let kept = Kept::of(b"card 4111-1111-1111-1111.");
/// assert_eq!(kept.head, b"card ****-****-****-1111.");
/// assert!(kept.masked && !kept.is_partial());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The first [`MAX_KEPT_BYTES`] of the masked bytes, or all if there are fewer.
    pub head: Vec<u8>,
    /// The length of the whole, in bytes.
    pub len: usize,
    /// The SHA-256 of all masked bytes, including those after the limit.
    pub sha256: [u8; 32],
    /// Whether a card number was masked.
    pub masked: bool,
}

impl Kept {
    /// Masks, hashes and truncates the bytes. Only the first [`MAX_KEPT_BYTES`] are copied.
    pub fn of(bytes: &[u8]) -> Self {
        let (mut head, mut hash) = (Vec::new(), Sha256::new());
        let mut keep = |piece: &[u8]| {
            hash.update(piece);
            let room = MAX_KEPT_BYTES - head.len();
            head.extend_from_slice(&piece[..piece.len().min(room)]);
        };
        let masked = card_number::mask_in_pieces(bytes, &mut keep);
        if !masked {
            keep(bytes);
        }
        Self { head, len: bytes.len(), sha256: hash.finalize().into(), masked }
    }

    /// Returns whether bytes are missing, because there are more than [`MAX_KEPT_BYTES`].
    pub fn is_partial(&self) -> bool {
        self.head.len() < self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_masked_before_it_is_truncated() {
        for before in MAX_KEPT_BYTES - 17..=MAX_KEPT_BYTES + 1 {
            let bytes = [&vec![b'a'; before][..], b" 4111111111111111 ", &[b'b'; 1_000]].concat();
            let kept = Kept::of(&bytes);
            let masked = card_number::mask(&bytes);
            assert_eq!(kept.head, masked[..MAX_KEPT_BYTES], "{before}");
            assert!(!kept.head.windows(4).any(|four| four == b"4111"), "{before}");
            assert_eq!((kept.len, kept.masked, kept.is_partial()), (bytes.len(), true, true));
            assert_eq!(kept.sha256, <[u8; 32]>::from(Sha256::digest(&masked)));
        }
    }

    #[test]
    fn up_to_the_limit_nothing_is_truncated() {
        for len in [0, 1, MAX_KEPT_BYTES, MAX_KEPT_BYTES + 1] {
            let bytes = vec![b'x'; len];
            let kept = Kept::of(&bytes);
            assert_eq!((kept.len, kept.masked, kept.is_partial()), (len, false, len > MAX_KEPT_BYTES));
            assert_eq!(kept.head, bytes[..len.min(MAX_KEPT_BYTES)]);
            assert_eq!(kept.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        }
    }
}
