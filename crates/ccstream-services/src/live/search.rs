//! Where rows that were stored since may lie: mostly at the table's end, but PostgreSQL also puts a row wherever its
//! free space map knows of enough room, one such page after another.

use super::snapshot::Snapshot;

/// Pages before the end of what is known that are searched at first, and pages around a spot.
const NEAR: u32 = 64;
/// The same if more must lie somewhere: about as many as one page of the free space map speaks for.
const FAR: u32 = 4_096;
/// Spots that are remembered: each consumer's session fills pages of its own.
const KEPT: usize = 8;

/// Pages, away from the table's end, where rows were found lately; the last first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spots(Vec<u32>);

impl Spots {
    /// Remembers a page where a row was found, in the place of one near it; the last pages are searched anyway.
    pub(crate) fn note(&mut self, page: u32, end: u32) {
        if page >= end.saturating_sub(NEAR) {
            return;
        }
        self.0.retain(|spot| spot.abs_diff(page) > NEAR);
        self.0.insert(0, page);
        self.0.truncate(KEPT);
    }

    /// What to read in search of new rows, step by step, each further than the one before: for each step conditions on
    /// `orders`, which leave out most of the rows that are known: of the first `pages`, by a snapshot with this horizon.
    pub(crate) fn steps(&self, pages: u32, horizon: i64, snapshot: &Snapshot) -> Vec<Vec<String>> {
        let since = since(horizon, snapshot);
        let conditions = |step: Vec<Stretch>| step.into_iter().map(|stretch| within(stretch, &since)).collect();
        self.places(pages, snapshot.seeks).into_iter().map(conditions).collect()
    }

    /// Where to look, step by step.
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

/// From which page to before which; without the latter, to the end, however far it has moved.
type Stretch = (u32, Option<u32>);

/// Of a range of pages, rows that meet a condition.
fn within((from, until): Stretch, condition: &str) -> String {
    let until = until.map_or(String::new(), |until| format!(" AND ctid < '({until},0)'::tid"));
    format!("ctid >= '({from},0)'::tid{until} AND {condition}")
}

/// Rows that came from Kafka and were written by transactions that were open at the snapshot before, or are later.
fn since(horizon: i64, snapshot: &Snapshot) -> String {
    // Numbers of transactions come again after four billion; to compare them their distance must be less than half.
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
    fn spots_move_along_and_the_oldest_leaves() {
        let mut spots = Spots::default();
        for page in [5000, 9999, 9936, 9935, 70, 100, 5064] {
            spots.note(page, 10_000);
        }
        assert_eq!(spots.0, [5064, 100, 9935], "what is near the end is searched anyway");
        (0..9).for_each(|n| spots.note(n * 65, 10_000));
        assert_eq!(spots.0, [520, 455, 390, 325, 260, 195, 130, 65]);
    }
}
