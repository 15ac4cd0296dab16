//! This module remembers which places (line pointers) of the table's pages have been read, one bit for each, so that no
//! row is counted twice. It also has a checksum of each page's rows, which shows whether they are still the same.

/// Minimum number of bytes that a row takes in a page of PostgreSQL, which limits the number of places.
const LEAST_ROW: usize = 28;
/// Number of pages in a stretch. A stretch of the table that was never read takes no memory.
const TOGETHER: usize = 1024;

/// Holds the places of a stretch of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pages {
    /// One bit for each place that was read.
    pub(crate) words: Vec<u64>,
    /// The checksum of each page's rows.
    pub(crate) sums: Vec<u32>,
}

/// Holds a set of places, by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    words_per_page: usize,
    stretches: Vec<Option<Pages>>,
}

impl Seen {
    /// Creates an empty set for pages of this size.
    pub(crate) fn new(page_bytes: usize) -> Self {
        Self { words_per_page: (page_bytes / LEAST_ROW).div_ceil(64), stretches: Vec::new() }
    }

    /// Restores a set that was saved; None if the sizes do not fit together.
    pub(crate) fn restore(page_bytes: usize, stretches: Vec<Option<Pages>>) -> Option<Self> {
        let seen = Self { stretches, ..Self::new(page_bytes) };
        let fits = |pages: &Pages| pages.words.len() == TOGETHER * seen.words_per_page && pages.sums.len() == TOGETHER;
        (seen.words_per_page > 0 && seen.stretches.iter().flatten().all(fits)).then_some(seen)
    }

    /// Returns the stretches in the order of their pages; None for one that was never read.
    pub(crate) fn stretches(&self) -> &[Option<Pages>] {
        &self.stretches
    }

    /// Returns the index of a place's word in its stretch, and the place's bit in that word.
    fn bit(&self, page: usize, place: u16) -> (usize, u64) {
        let place = usize::from(place);
        (page % TOGETHER * self.words_per_page + (place / 64).min(self.words_per_page - 1), 1 << (place % 64))
    }

    /// Returns whether a place was read.
    pub(crate) fn contains(&self, page: u32, place: u16) -> bool {
        let (word, bit) = self.bit(page as usize, place);
        let stretch = self.stretches.get(page as usize / TOGETHER);
        stretch.and_then(Option::as_ref).is_some_and(|pages| pages.words[word] & bit != 0)
    }

    /// Adds a place and the checksum of its row. Returns false if it was read before.
    pub(crate) fn insert(&mut self, page: u32, place: u16, sum: u32) -> bool {
        let (page, (word, bit)) = (page as usize, self.bit(page as usize, place));
        let stretch = page / TOGETHER;
        if self.stretches.len() <= stretch {
            self.stretches.resize(stretch + 1, None);
        }
        let words = TOGETHER * self.words_per_page;
        let pages =
            self.stretches[stretch].get_or_insert_with(|| Pages { words: vec![0; words], sums: vec![0; TOGETHER] });
        let new = pages.words[word] & bit == 0;
        if new {
            pages.words[word] |= bit;
            let all = &mut pages.sums[page % TOGETHER];
            *all = all.wrapping_add(sum);
        }
        new
    }

    /// Returns the checksum of a page's rows, which is the sum of theirs.
    pub(crate) fn sum(&self, page: u32) -> u32 {
        let stretch = self.stretches.get(page as usize / TOGETHER);
        stretch.and_then(Option::as_ref).map_or(0, |pages| pages.sums[page as usize % TOGETHER])
    }

    /// Returns the number of bytes that the set holds.
    pub(crate) fn bytes(&self) -> usize {
        self.stretches.iter().flatten().map(|pages| pages.words.len() * 8 + pages.sums.len() * 4).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_added_once() {
        let mut seen = Seen::new(8192);
        for page in [0, 3, 1, 5000] {
            for place in 1..=291 {
                assert!(!seen.contains(page, place), "{page} {place}");
                assert!(seen.insert(page, place, u32::from(place) << 24), "{page} {place}");
                assert!(!seen.insert(page, place, 1), "{page} {place}");
                assert!(seen.contains(page, place), "{page} {place}");
            }
            assert_eq!(seen.sum(page), (1..=291u32).fold(0u32, |sum, place| sum.wrapping_add(place << 24)));
        }
        assert_eq!((seen.sum(2), seen.sum(9_999_999)), (0, 0));
        assert_eq!(seen.stretches().iter().flatten().count(), 2);
        assert_eq!(Seen::restore(8192, seen.stretches().to_vec()), Some(seen.clone()));
        assert_eq!(Seen::restore(16_384, seen.stretches().to_vec()), None);
        assert_eq!(Seen::restore(0, Vec::new()), None);
    }
}
