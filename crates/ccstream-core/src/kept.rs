//! What is kept of a message that is not stored: its bytes, masked, up to a limit (pure).

use sha2::{Digest, Sha256};

use crate::card_number;

/// The most bytes that are kept of a payload, and of a key.
pub const MAX_KEPT_BYTES: usize = 64 << 10;

/// A payload or a key as it is kept: card numbers in it masked, all of it before any of it is cut off.
///
/// ```
/// use ccstream_core::kept::Kept;
/// let kept = Kept::of(b"card 4111-1111-1111-1111.");
/// assert_eq!(kept.head, b"card ****-****-****-1111.");
/// assert!(kept.masked && !kept.is_partial());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The first [`MAX_KEPT_BYTES`] of it at most.
    pub head: Vec<u8>,
    /// Its length in bytes.
    pub len: usize,
    /// The SHA-256 of all of its masked bytes.
    pub sha256: [u8; 32],
    /// Whether a card number was masked.
    pub masked: bool,
}

impl Kept {
    /// Of any bytes, which are copied only as far as they are kept.
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

    /// Whether there was more of it than is kept.
    pub fn is_partial(&self) -> bool {
        self.head.len() < self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_across_the_cut_is_masked_before_it_is_cut() {
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
    fn what_fits_is_kept_whole() {
        for len in [0, 1, MAX_KEPT_BYTES, MAX_KEPT_BYTES + 1] {
            let bytes = vec![b'x'; len];
            let kept = Kept::of(&bytes);
            assert_eq!((kept.len, kept.masked, kept.is_partial()), (len, false, len > MAX_KEPT_BYTES));
            assert_eq!(kept.head, bytes[..len.min(MAX_KEPT_BYTES)]);
            assert_eq!(kept.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        }
    }
}
