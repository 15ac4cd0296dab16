//! Which places of the table's pages have been read: a bit for each, so that no row is ever counted twice.

/// PostgreSQL's rows of a page are at least so many bytes apart.
const LEAST_ROW: usize = 28;

/// A set of places, by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    words_per_page: usize,
    words: Vec<u64>,
}

impl Seen {
    /// For pages of so many bytes.
    pub(crate) fn new(page_bytes: usize) -> Self {
        Self { words_per_page: (page_bytes / LEAST_ROW).div_ceil(64), words: Vec::new() }
    }

    /// As it was saved.
    pub(crate) fn restore(page_bytes: usize, words: Vec<u64>) -> Self {
        Self { words, ..Self::new(page_bytes) }
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Notes a place; false where it was seen before.
    pub(crate) fn insert(&mut self, page: u32, place: u16) -> bool {
        let (page, place) = (page as usize, usize::from(place));
        let word = page * self.words_per_page + (place / 64).min(self.words_per_page - 1);
        if self.words.len() <= word {
            self.words.resize((page + 1) * self.words_per_page, 0);
        }
        let bit = 1 << (place % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_once() {
        let mut seen = Seen::new(8192);
        for page in [0, 3, 1] {
            for place in 1..=291 {
                assert!(seen.insert(page, place), "{page} {place}");
                assert!(!seen.insert(page, place), "{page} {place}");
            }
        }
    }
}
