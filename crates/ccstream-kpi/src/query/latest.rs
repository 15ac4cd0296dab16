//! Finds the rows that arrived last.

use super::chunk::{Chunk, ROWS, Terms};
use super::question::Filter;
use crate::rows::attribute::Attribute;
use crate::rows::block::Block;
use crate::rows::codes::ABSENT;
use crate::rows::columns::Columns;

/// Holds a row with the names of its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestRow {
    /// The time in microseconds since 1970 UTC; None if it is absent.
    pub time: Option<i64>,
    /// The amount in cents; None if it is absent.
    pub cents: Option<i64>,
    /// The values of the attributes that are dimensions, in the order of [`Attribute::dimensions`]; None if one is
    /// absent.
    pub names: Vec<Option<String>>,
}

/// Returns up to `count` rows that pass the filter, the newest first.
///
/// Rows from number `followed` on (None: there are none) were added after the table was first loaded, so they are the
/// newest. The first load read the table in pieces, from its end to its beginning, and each piece in the table's order.
/// `pieces` has the number of the first row of each piece.
pub fn latest(
    columns: &Columns,
    pieces: &[u64],
    followed: Option<u64>,
    filter: &Filter,
    count: usize,
) -> Vec<LatestRow> {
    let terms = Terms::new(filter, None, columns);
    let mut found = Vec::new();
    if count == 0 {
        return found;
    }
    let followed = followed.unwrap_or(columns.next_row);
    let mut chunk = Chunk::default();
    let ends = pieces.iter().skip(1).copied().chain([followed]);
    let pieces = pieces.iter().copied().zip(ends);
    for (begin, end) in [(followed, columns.next_row)].into_iter().chain(pieces) {
        for block in columns.blocks.iter().rev().filter(|block| block.start < end) {
            let inside = |row: u64| row.saturating_sub(block.start).min(block.len() as u64) as usize;
            let (first, mut last) = (inside(begin), inside(end));
            while last > first {
                let from = first.max(last.saturating_sub(ROWS));
                chunk.select(block, from..last, None, &terms);
                for row in chunk.rows.iter().rev() {
                    found.push(named(columns, block, usize::from(*row)));
                    if found.len() == count {
                        return found;
                    }
                }
                last = from;
            }
        }
    }
    found
}

fn named(columns: &Columns, block: &Block, row: usize) -> LatestRow {
    let name = |attribute: Attribute| {
        columns.name(attribute, block.codes(attribute.coded_column()).get(row)).map(str::to_owned)
    };
    let present = |value: i64| (value != ABSENT).then_some(value);
    LatestRow {
        time: present(block.time[row]),
        cents: present(block.amount.get(row)),
        names: Attribute::dimensions().map(name).collect(),
    }
}
