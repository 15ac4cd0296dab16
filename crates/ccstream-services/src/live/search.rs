//! This module decides which pages are searched for new rows. Most new rows are at the table's end, but PostgreSQL also
//! fills pages that its free space map lists as having room, one page after another.

use super::snapshot::Snapshot;

/// Number of pages before the known end, and around each spot, that are searched first.
const NEAR: u32 = 64;
/// Number of pages before the known end, and around each spot, that are searched if rows are still lacking. It is about
/// the number of pages that one page of the free space map covers.
const FAR: u32 = 4_096;
/// Maximum number of spots. Several are needed because each consumer's session fills different pages.
const KEPT: usize = 8;

/// Holds the pages, except those near the table's end, where new rows were found recently. The most recent is first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spots(Vec<u32>);

impl Spots {
    /// Remembers a page where a row was found. It replaces a spot near it. Pages near the table's end are not
    /// remembered, because they are searched anyway.
    pub(crate) fn note(&mut self, page: u32, end: u32) {
        if page >= end.saturating_sub(NEAR) {
            return;
        }
        self.0.retain(|spot| spot.abs_diff(page) > NEAR);
        self.0.insert(0, page);
        self.0.truncate(KEPT);
    }

    /// Returns the steps of a search for new rows, each of which searches more pages than the one before. A step is a
    /// list of SQL conditions on `orders`. They exclude most of the rows that are known already, which are in the first
    /// `pages` pages and were read in a snapshot with this `horizon`.
    pub(crate) fn steps(&self, pages: u32, horizon: i64, snapshot: &Snapshot) -> Vec<Vec<String>> {
        let since = since(horizon, snapshot);
        let conditions = |step: Vec<Stretch>| step.into_iter().map(|stretch| within(stretch, &since)).collect();
        self.places(pages, snapshot.seeks).into_iter().map(conditions).collect()
    }

    /// Returns the ranges of pages that each step searches.
    fn places(&self, known: u32, seeks: bool) -> Vec<Vec<Stretch>> {
        let end = |pages: u32| (known.saturating_sub(pages), None);
        let spots =
            |pages: u32| self.0.iter().map(move |spot| (spot.saturating_sub(pages), Some(spot.saturating_add(pages))));
        let everywhere = vec![end(u32::MAX)];
        if !seeks {
            return vec![everywhere];
        }
        vec![vec![end(NEAR)], spots(NEAR).collect(), spots(FAR).chain([end(FAR)]).collect(), everywhere]
    }
}

/// A range of pages: the first, and the one after the last. Without the latter it reaches to the table's current end.
type Stretch = (u32, Option<u32>);

/// Returns the SQL condition for the rows in a range of pages that also meet another condition.
fn within((from, until): Stretch, condition: &str) -> String {
    let until = until.map_or(String::new(), |until| format!(" AND ctid < '({until},0)'::tid"));
    format!("ctid >= '({from},0)'::tid{until} AND {condition}")
}

/// Returns the SQL condition for rows that came from Kafka and that the previous snapshot may not have seen, because
/// their transactions were open then or began later.
fn since(horizon: i64, snapshot: &Snapshot) -> String {
    // Transaction ids wrap around after 2^32. They can only be compared if they are less than half of that apart.
    let since = if snapshot.horizon - horizon < 1 << 30 {
        format!(" AND age(xmin) <= age('{}'::xid)", horizon & 0xFFFF_FFFF)
    } else {
        String::new()
    };
    format!("kafka_partition IS NOT NULL{since}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_replace_near_ones_and_the_oldest_is_dropped() {
        let mut spots = Spots::default();
        for page in [5000, 9999, 9936, 9935, 70, 100, 5064] {
            spots.note(page, 10_000);
        }
        assert_eq!(spots.0, [5064, 100, 9935], "pages near the end are not remembered");
        (0..9).for_each(|n| spots.note(n * 65, 10_000));
        assert_eq!(spots.0, [520, 455, 390, 325, 260, 195, 130, 65]);
    }
}
