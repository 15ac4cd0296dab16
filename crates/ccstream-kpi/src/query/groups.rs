//! Counts the groups of one grouping.

use super::chunk::{Chunk, CountAndSum, NOWHERE, Terms, add};
use super::question::{By, Grouping};
use crate::rows::block::CodedColumn;
use crate::rows::cards::Pairs;
use crate::rows::outcome::OUTCOMES;
use crate::rows::sketch::Sketch;

/// Holds the counts of one grouping. A group's number is its code, its slot of time, or its hour of the week.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    /// Count and sum of each group, or of each outcome of each group; empty if these are derived from the totals by
    /// kind: see [`is_of_kind`].
    pub(crate) cells: Vec<CountAndSum>,
    /// The smallest and the largest amount of each group; empty unless asked for.
    pub(crate) extremes: Vec<(i64, i64)>,
    /// Approximate distributions of the amounts of each group, for percentiles; empty unless asked for.
    pub(crate) sketches: Vec<Sketch>,
    /// The distinct cards of each group; empty unless asked for. It is also empty if the groups are at most
    /// [`FEW`](crate::rows::cards::FEW) slots of time, because `State::cards` counts these cards.
    pub(crate) pairs: Pairs,
    /// For a trend, the number of rows of each code in each slot: the slots of code 0, then of code 1, etc.
    pub(crate) trend: Vec<u32>,
}

/// Returns whether the counts and sums of a grouping can be derived from the totals by kind, without visiting rows.
/// Extremes, percentiles and cards still need the rows.
pub(crate) fn is_of_kind(grouping: &Grouping) -> bool {
    matches!(grouping.by, By::Dimension(dimension) if dimension.column() == CodedColumn::Kind)
}

/// The extremes of a group without amounts.
pub(crate) const EMPTY: (i64, i64) = (i64::MAX, i64::MIN);

impl Groups {
    pub(crate) fn reserve(&mut self, len: usize, grouping: &Grouping) {
        if !is_of_kind(grouping) {
            self.cells.resize(len * if grouping.outcomes { OUTCOMES } else { 1 }, CountAndSum::default());
        }
        if grouping.extremes {
            self.extremes.resize(len, EMPTY);
        }
        if grouping.percentiles {
            self.sketches.resize(len, Sketch::default());
        }
    }

    /// Adds each row of a chunk to the cell of its group, or of its group and outcome if `outcomes` is given.
    pub(crate) fn add_cells(&mut self, chunk: &mut Chunk, outcomes: Option<&Terms>) {
        if let Some(group) = chunk.one_group {
            let mut sums = [CountAndSum::default(); OUTCOMES];
            let parts = outcomes.map_or(1, |_| OUTCOMES);
            match outcomes {
                None => chunk.cells.iter().for_each(|cell| add(&mut sums[0], *cell)),
                Some(terms) => {
                    for (kind, cell) in chunk.kinds.iter().zip(&chunk.cells) {
                        add(&mut sums[usize::from(terms.outcomes[*kind as usize]) % OUTCOMES], *cell);
                    }
                }
            }
            let cells = &mut self.cells[group as usize * parts..][..parts];
            return cells.iter_mut().zip(sums).for_each(|(cell, sum)| add(cell, sum));
        }
        if let Some(terms) = outcomes {
            chunk.split(terms);
        }
        for (group, cell) in chunk.members.iter().zip(&chunk.cells) {
            if *group != NOWHERE {
                add(&mut self.cells[*group as usize], *cell);
            }
        }
    }

    pub(crate) fn add_trend(&mut self, chunk: &Chunk, slots: usize, by: i32) {
        let mut change = |group: u32, slot: u32| {
            let count = &mut self.trend[group as usize * slots + slot as usize];
            *count = count.wrapping_add_signed(by);
        };
        if let Some(slot) = chunk.one_slot {
            return chunk.members.iter().for_each(|group| change(*group, slot));
        }
        for (group, slot) in chunk.members.iter().zip(&chunk.slots) {
            if *slot != NOWHERE {
                change(*group, *slot);
            }
        }
    }

    /// Updates percentiles, extremes and cards, as far as they were asked for. Extremes and cards are not updated when
    /// rows are removed (`by` is -1).
    pub(crate) fn add_more(&mut self, chunk: &Chunk, by: i32, cards: bool) {
        if let (Some(group), false) = (chunk.one_group, self.sketches.is_empty()) {
            let sketch = &mut self.sketches[group as usize];
            chunk.paid.iter().for_each(|at| sketch.change(chunk.cents[usize::from(*at)], by));
        } else if !self.sketches.is_empty() {
            chunk.amounts().for_each(|(group, cents)| self.sketches[group].change(cents, by));
        }
        if !self.extremes.is_empty() && by > 0 {
            self.add_extremes(chunk);
        }
        if cards && by > 0 {
            for (group, card) in chunk.cards_by_group() {
                self.pairs.add(card, group);
            }
        }
    }

    pub(crate) fn add_extremes(&mut self, chunk: &Chunk) {
        for (group, cents) in chunk.amounts() {
            let (min, max) = &mut self.extremes[group];
            *min = (*min).min(cents);
            *max = (*max).max(cents);
        }
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.cells.as_slice())
            + size_of_val(self.extremes.as_slice())
            + self.sketches.iter().map(Sketch::bytes).sum::<usize>()
            + size_of_val(self.trend.as_slice())
            + self.pairs.bytes()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(&other.cells).for_each(|(mine, theirs)| add(mine, *theirs));
        self.sketches.iter_mut().zip(&other.sketches).for_each(|(mine, theirs)| mine.merge(theirs));
        for (mine, theirs) in self.extremes.iter_mut().zip(&other.extremes) {
            *mine = (mine.0.min(theirs.0), mine.1.max(theirs.1));
        }
        self.pairs.merge(&other.pairs);
        self.trend.iter_mut().zip(&other.trend).for_each(|(mine, theirs)| *mine += theirs);
    }
}
