//! Holds what a query has counted so far. It is updated from new rows only, whatever their timestamps. If the range of
//! the query moves on, rows that leave the range are subtracted and rows that enter it are added.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::buckets::Buckets;
use super::chunk::{Chunk, CountAndSum, NOWHERE, ROWS, Terms, add};
use super::groups::{EMPTY, Groups, is_of_kind};
use super::offsets::Offsets;
use super::question::{By, Dimension, Grouping, Query, Window};
use crate::rows::attribute::Attribute;
use crate::rows::block::{Block, CodedColumn};
use crate::rows::cards::{Cards, FEW, OUTSIDE};
use crate::rows::codes::ABSENT;
use crate::rows::columns::Columns;
use crate::rows::multiset::Multiset;
use ccstream_core::error::{Error, Result};

/// Holds the counts of the rows in a range.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The start (inclusive) and end (exclusive) of the range; None for all of time.
    pub(crate) range: Option<(i64, i64)>,
    pub(crate) buckets: Option<Buckets>,
    /// Count and sum of each signed kind. The totals, and the groups by an attribute of the kind, are sums of these.
    pub(crate) kinds: Vec<CountAndSum>,
    pub(crate) amounts: Multiset,
    pub(crate) cards: Cards,
    /// The counts of the query's groupings, in their order.
    pub(crate) groups: Vec<Groups>,
    /// The number of the first row that is not yet counted.
    next_row: u64,
    generation: u64,
    /// Whether a row of a query for all of time was outside of the buckets.
    outgrown: bool,
}

/// Selects what is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
    /// Adds only to the cards and extremes of a slot. Nothing can be subtracted from these, so the slot was cleared.
    Refill,
}

/// Holds a query, translated to codes.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    groupings: &'a [Grouping],
    offsets: &'a Offsets,
    terms: &'a Terms,
    /// For each grouping, the group of each code of its column; empty if the group is the code itself.
    maps: Vec<Vec<u32>>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(query: &'a Query, groupings: &'a [Grouping], terms: &'a Terms, columns: &Columns) -> Self {
        let map = |grouping: &Grouping| match grouping.by {
            By::Dimension(dimension) | By::Trend(dimension) => dimension.attribute(),
            By::Time | By::Week | By::Amount => None,
        };
        let map = |grouping: &Grouping| match map(grouping) {
            // Sums over kinds need no map.
            _ if is_of_kind(grouping) && !grouping.needs_rows() => Vec::new(),
            None | Some(Attribute::MERCHANT | Attribute::CARD) => Vec::new(),
            Some(attribute) => {
                let codes = 0..columns.codes(attribute.coded_column()) as u32;
                codes.map(|code| columns.part(attribute, code)).collect()
            }
        };
        Self { groupings, offsets: &query.offsets, terms, maps: groupings.iter().map(map).collect() }
    }
}

/// Returns the maximum number of groups of a dimension.
fn group_count(dimension: Dimension, columns: &Columns) -> usize {
    dimension
        .attribute()
        .map_or_else(|| columns.codes(CodedColumn::Place), |attribute| columns.dictionary(attribute).len())
}

impl State {
    /// Creates an empty state for a range and its buckets.
    fn new(groupings: &[Grouping], range: Option<(i64, i64)>, buckets: Option<Buckets>, columns: &Columns) -> Self {
        Self {
            range,
            buckets,
            kinds: Vec::new(),
            amounts: Multiset::default(),
            cards: Cards::default(),
            groups: vec![Groups::default(); groupings.len()],
            next_row: columns.next_row,
            generation: columns.generation,
            outgrown: false,
        }
    }

    /// Counts all rows, on a number of threads.
    pub(crate) fn count(
        asked: &Asked<'_>,
        range: Option<(i64, i64)>,
        buckets: Option<&Buckets>,
        columns: &Columns,
        threads: usize,
    ) -> Self {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut state = Self::new(asked.groupings, range, buckets.cloned(), columns);
            let mut chunk = Chunk::default();
            state.reserve(asked, columns);
            while let Some(block) = columns.blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
                state.add_rows(asked, block, 0..block.len(), range, Change::Add, &mut chunk);
            }
            state
        };
        let threads = threads.min(columns.blocks.len()).max(1);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut state = work();
            for other in others {
                // A panic of the thread is passed on to the caller.
                state.merge(&other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            state.amounts.settle();
            state
        })
    }

    /// Updates the counts to the current rows and to a range that may have moved on. Returns false if that is
    /// impossible, so that all rows must be counted again: rows were evicted, new rows make the buckets wider, or
    /// counts of rows that left the range cannot be subtracted.
    pub(crate) fn advance(
        &mut self,
        asked: &Asked<'_>,
        range: Option<(i64, i64)>,
        buckets: Option<Buckets>,
        columns: &Columns,
    ) -> bool {
        let width = |buckets: &Option<Buckets>| buckets.as_ref().map(Buckets::width);
        if self.generation != columns.generation || width(&self.buckets) != width(&buckets) {
            return false;
        }
        let mut chunk = Chunk::default();
        self.reserve(asked, columns);
        if self.range != range && !self.slide(asked, range, buckets, columns, &mut chunk) {
            return false;
        }
        self.add_since(asked, columns, self.next_row..columns.next_row, self.range, Change::Add, &mut chunk);
        self.next_row = columns.next_row;
        self.amounts.settle();
        !self.outgrown
    }

    /// Moves the range on, and updates the counts of rows before `next_row`. Returns false if that is impossible.
    fn slide(
        &mut self,
        asked: &Asked<'_>,
        range: Option<(i64, i64)>,
        buckets: Option<Buckets>,
        columns: &Columns,
        chunk: &mut Chunk,
    ) -> bool {
        let (Some(old), Some(new), Some(was), Some(is)) = (self.range, range, self.buckets.clone(), buckets) else {
            return false;
        };
        let keeps = |grouping: &Grouping| matches!(grouping.by, By::Time) || !(grouping.extremes || grouping.cards);
        let same_ring = was.len == is.len && is.len <= FEW;
        if !same_ring || new.0 < old.0 || new.0 >= old.1 || !asked.groupings.iter().all(keeps) {
            return false;
        }
        let counted = 0..self.next_row;
        self.add_since(asked, columns, counted.clone(), Some((old.0, new.0)), Change::Remove, chunk);
        // The range now begins within a bucket, so a part of this bucket has left the range.
        let begins = is.number(new.0);
        for number in was.first..=begins {
            let slot = was.slot(number);
            self.cards.clear(slot);
            for (groups, grouping) in self.groups.iter_mut().zip(asked.groupings) {
                if grouping.by == By::Time && grouping.extremes {
                    groups.extremes[slot] = EMPTY;
                }
            }
        }
        let rest = (new.0, is.start(begins + 1).min(old.1));
        (self.range, self.buckets) = (range, Some(is));
        self.add_since(asked, columns, counted.clone(), Some(rest), Change::Refill, chunk);
        self.add_since(asked, columns, counted, Some((old.1, new.1)), Change::Add, chunk);
        true
    }

    /// Adds or subtracts those of the rows, given by their numbers, that are in a range of time.
    fn add_since(
        &mut self,
        asked: &Asked<'_>,
        columns: &Columns,
        rows: Range<u64>,
        range: Option<(i64, i64)>,
        change: Change,
        chunk: &mut Chunk,
    ) {
        for block in columns.blocks.iter().filter(|block| block.start < rows.end) {
            let end = (rows.end - block.start).min(block.len() as u64) as usize;
            let begin = rows.start.saturating_sub(block.start).min(end as u64) as usize;
            self.add_rows(asked, block, begin..end, range, change, chunk);
        }
    }

    fn add_rows(
        &mut self,
        asked: &Asked<'_>,
        block: &Block,
        rows: Range<usize>,
        range: Option<(i64, i64)>,
        change: Change,
        chunk: &mut Chunk,
    ) {
        if range.is_some_and(|(from, to)| block.last < from || block.first >= to) {
            return;
        }
        for begin in rows.clone().step_by(ROWS) {
            chunk.select(block, begin..rows.end.min(begin + ROWS), range, asked.terms);
            if !chunk.rows.is_empty() {
                chunk.measure(block, asked.terms, change == Change::Remove);
                chunk.place_in_time(block, self.buckets.as_ref());
                match change {
                    Change::Add => self.add_chunk(asked, block, chunk, 1),
                    Change::Remove => self.add_chunk(asked, block, chunk, -1),
                    Change::Refill => self.refill(asked, block, chunk),
                }
            }
        }
    }

    fn add_chunk(&mut self, asked: &Asked<'_>, block: &Block, chunk: &mut Chunk, by: i32) {
        for (kind, cell) in chunk.kinds.iter().zip(&chunk.cells) {
            add(&mut self.kinds[*kind as usize], *cell);
        }
        for at in &chunk.paid {
            self.amounts.change(chunk.cents[usize::from(*at)], by);
        }
        if by > 0 {
            self.add_cards(block, chunk);
            // With a range, rows outside of it were not selected. Without one, new rows may be outside of the buckets.
            let untimed = |row: &u16| block.time[usize::from(*row)] == ABSENT;
            self.outgrown |= (self.range.is_none() && self.buckets.is_some() && chunk.one_slot.is_none())
                && chunk.slots.iter().zip(&chunk.rows).any(|(slot, row)| *slot == NOWHERE && !untimed(row));
        }
        let few = self.has_few_slots();
        for ((groups, grouping), map) in self.groups.iter_mut().zip(asked.groupings).zip(&asked.maps) {
            match grouping.by {
                By::Amount => continue,
                By::Dimension(_) if is_of_kind(grouping) && !grouping.needs_rows() => continue,
                By::Dimension(dimension) | By::Trend(dimension) => chunk.group(block, dimension.column(), map),
                By::Time => chunk.group_by_slot(),
                By::Week => chunk.place_in_week(block, asked.offsets),
            }
            if let By::Trend(_) = grouping.by {
                let Some(buckets) = &self.buckets else { continue };
                groups.add_trend(chunk, buckets.len, by);
                continue;
            }
            groups.add_more(chunk, by, grouping.cards && !(few && grouping.by == By::Time));
            if !is_of_kind(grouping) {
                groups.add_cells(chunk, grouping.outcomes.then_some(asked.terms));
            }
        }
    }

    /// Returns whether a card's 64-bit word has a bit for each slot of time.
    fn has_few_slots(&self) -> bool {
        self.buckets.as_ref().is_none_or(|buckets| buckets.len <= FEW)
    }

    fn add_cards(&mut self, block: &Block, chunk: &mut Chunk) {
        let few = self.has_few_slots();
        chunk.find_cards(block);
        let bit = |slot: u32| if few { slot.min(OUTSIDE) } else { 0 };
        if let Some(slot) = chunk.one_slot {
            return chunk.cards.iter().for_each(|card| self.cards.add(*card, bit(slot)));
        }
        for (card, slot) in chunk.cards.iter().zip(&chunk.slots) {
            self.cards.add(*card, bit(*slot));
        }
    }

    fn refill(&mut self, asked: &Asked<'_>, block: &Block, chunk: &mut Chunk) {
        self.add_cards(block, chunk);
        for (groups, grouping) in self.groups.iter_mut().zip(asked.groupings) {
            if grouping.by == By::Time && grouping.extremes {
                chunk.group_by_slot();
                groups.add_extremes(chunk);
            }
        }
    }

    /// Makes room for every existing code.
    fn reserve(&mut self, asked: &Asked<'_>, columns: &Columns) {
        self.cards.reserve(columns.codes(CodedColumn::Card));
        self.kinds.resize(2 * columns.codes(CodedColumn::Kind), CountAndSum::default());
        let slots = self.buckets.as_ref().map_or(0, |buckets| buckets.len);
        for (groups, grouping) in self.groups.iter_mut().zip(asked.groupings) {
            let len = match grouping.by {
                By::Dimension(dimension) => group_count(dimension, columns),
                By::Time => slots,
                By::Week => 168,
                By::Amount => 0,
                By::Trend(dimension) => {
                    groups.trend.resize(group_count(dimension, columns) * slots, 0);
                    0
                }
            };
            groups.reserve(len, grouping);
        }
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let own = size_of_val(self.kinds.as_slice()) + self.amounts.bytes() + self.cards.bytes();
        own + self.groups.iter().map(Groups::bytes).sum::<usize>()
    }

    fn merge(&mut self, other: &Self) {
        self.kinds.iter_mut().zip(&other.kinds).for_each(|(mine, theirs)| add(mine, *theirs));
        self.amounts.merge(&other.amounts);
        self.cards.merge(&other.cards);
        for (mine, theirs) in self.groups.iter_mut().zip(&other.groups) {
            mine.merge(theirs);
        }
    }
}

/// Checks that the counts of a query fit in memory. Fails with [`Error::Config`] if a trend has too many cells.
pub(crate) fn fits(query: &Query, buckets: Option<&Buckets>, columns: &Columns) -> Result<()> {
    /// The maximum number of cells of a trend, which take 256 MiB.
    const MOST: usize = 1 << 26;
    let slots = buckets.map_or(0, |buckets| buckets.len);
    for grouping in &query.groupings {
        if let By::Trend(dimension) = grouping.by
            && group_count(dimension, columns) * slots > MOST
        {
            let groups = group_count(dimension, columns);
            return Err(Error::config(
                "width",
                format!("a trend of {groups} groups in {slots} buckets is too large; use a greater width"),
            ));
        }
    }
    Ok(())
}

/// A range and its buckets; the range is None for all of time, the buckets are None if the query needs none.
pub(crate) type Time = (Option<(i64, i64)>, Option<Buckets>);

/// Returns the range and the buckets of a query at the moment `now`.
pub(crate) fn time_of(query: &Query, now: i64, columns: &Columns) -> Result<Time> {
    let buckets = Buckets::of(query, now, columns.span())?;
    let range = match query.window {
        Window::All => None,
        Window::Between(from, to) => Some((from, to)),
        Window::Last(length) => Some((now - length, now)),
    };
    Ok((range, buckets))
}
