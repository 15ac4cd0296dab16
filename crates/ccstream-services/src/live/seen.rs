//! Which places of the table's pages have been read: a bit for each, so that no row is ever counted twice; and a sum
//! of each page's rows, to find out whether they are still the same.

/// PostgreSQL's rows of a page are at least so many bytes apart.
const LEAST_ROW: usize = 28;
/// Pages that are kept together; a stretch of the table that was never read takes no room.
const TOGETHER: usize = 1024;

/// The places of some pages that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pages {
    pub(crate) words: Vec<u64>,
    pub(crate) sums: Vec<u32>,
}

/// A set of places, by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    words_per_page: usize,
    stretches: Vec<Option<Pages>>,
}

impl Seen {
    /// For pages of so many bytes.
    pub(crate) fn new(page_bytes: usize) -> Self {
        Self { words_per_page: (page_bytes / LEAST_ROW).div_ceil(64), stretches: Vec::new() }
    }

    /// As it was saved; None for what cannot have been.
    pub(crate) fn restore(page_bytes: usize, stretches: Vec<Option<Pages>>) -> Option<Self> {
        let seen = Self { stretches, ..Self::new(page_bytes) };
        let fits = |pages: &Pages| pages.words.len() == TOGETHER * seen.words_per_page && pages.sums.len() == TOGETHER;
        (seen.words_per_page > 0 && seen.stretches.iter().flatten().all(fits)).then_some(seen)
    }

    pub(crate) fn stretches(&self) -> &[Option<Pages>] {
        &self.stretches
    }

    /// The word and bit of a place in its stretch.
    fn bit(&self, page: usize, place: u16) -> (usize, u64) {
        let place = usize::from(place);
        (page % TOGETHER * self.words_per_page + (place / 64).min(self.words_per_page - 1), 1 << (place % 64))
    }

    /// Whether a place was read.
    pub(crate) fn contains(&self, page: u32, place: u16) -> bool {
        let (word, bit) = self.bit(page as usize, place);
        let stretch = self.stretches.get(page as usize / TOGETHER);
        stretch.and_then(Option::as_ref).is_some_and(|pages| pages.words[word] & bit != 0)
    }

    /// Notes a place with the sum of its row; false where it was read before.
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

    /// The sum of all of a page's rows.
    pub(crate) fn sum(&self, page: u32) -> u32 {
        let stretch = self.stretches.get(page as usize / TOGETHER);
        stretch.and_then(Option::as_ref).map_or(0, |pages| pages.sums[page as usize % TOGETHER])
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.stretches.iter().flatten().map(|pages| pages.words.len() * 8 + pages.sums.len() * 4).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_once() {
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
