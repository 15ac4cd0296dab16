//! A few rows of a block at a time, few enough for the processor's nearest cache: which of them pass the
//! filter, and what each adds to a group.

use std::collections::HashSet;
use std::ops::Range;

use ccstream_core::currency::Currency;

use super::buckets::{Buckets, Finder};
use super::offsets::Offsets;
use super::question::Filter;
use crate::rows::attribute::Attribute;
use crate::rows::block::{Block, CodedColumn};
use crate::rows::codes::SECOND;
use crate::rows::codes::{ABSENT, Amounts, with_codes};
use crate::rows::columns::Columns;
use crate::rows::outcome::{IS_APPROVED, IS_DECIDED, IS_DECLINED, IS_RISKY, OUTCOMES, OutcomeBits};

/// Rows looked at together.
pub(crate) const ROWS: usize = crate::rows::block::SPAN;
/// The slot of a row outside of every bucket.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What rows add up to: how many they are, and in the upper half how many amounts; and the sum in cents.
pub(crate) type CountAndSum = [u64; 2];

/// What rows add up to, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Rows.
    pub count: u64,
    /// Rows with an amount in the query's currency.
    pub amounts: u64,
    /// The sum of these amounts in cents.
    pub sum: i64,
    /// Rows that were approved; this and the next are counted for totals, and for groups on demand.
    pub approved: u64,
    /// Rows that were approved or declined.
    pub decided: u64,
    /// Rows that were declined.
    pub declined: u64,
    /// Rows flagged as risky.
    pub risky: u64,
}

impl Figures {
    /// Adds rows of one outcome.
    pub(crate) fn count_in(&mut self, [rows, sum]: CountAndSum, outcome: OutcomeBits) {
        let count = rows & u64::from(u32::MAX);
        self.count += count;
        self.amounts += rows >> 32;
        self.sum += sum as i64;
        let counted = |bit: OutcomeBits| if outcome & bit == 0 { 0 } else { count };
        self.approved += counted(IS_APPROVED);
        self.decided += counted(IS_DECIDED);
        self.declined += counted(IS_DECLINED);
        self.risky += counted(IS_RISKY);
    }
}

impl std::ops::Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            amounts: self.amounts + other.amounts,
            sum: self.sum + other.sum,
            approved: self.approved + other.approved,
            decided: self.decided + other.decided,
            declined: self.declined + other.declined,
            risky: self.risky + other.risky,
        }
    }
}

pub(crate) fn add(cell: &mut CountAndSum, other: CountAndSum) {
    cell[0] = cell[0].wrapping_add(other[0]);
    cell[1] = cell[1].wrapping_add(other[1]);
}

/// A filter and a currency in terms of codes.
#[derive(Debug)]
pub(crate) struct Terms {
    /// For each column that is filtered, whether a code passes.
    masks: Vec<(CodedColumn, Vec<bool>)>,
    amounts: Option<(i64, i64)>,
    /// By kind, all bits where it is in the currency whose amounts are added up, else none.
    in_currency: Vec<i8>,
    /// By kind.
    pub(crate) outcomes: Vec<OutcomeBits>,
}

impl Terms {
    pub(crate) fn new(filter: &Filter, currency: Option<&str>, columns: &Columns) -> Self {
        let mut masks: Vec<(CodedColumn, Vec<bool>)> = Vec::new();
        for (dimension, values) in &filter.only {
            let Some(attribute) = dimension.attribute() else { continue };
            let chosen: HashSet<u32> =
                values.iter().filter_map(|value| find(columns, attribute, value.as_deref())).collect();
            let column = attribute.coded_column();
            let passes = |code: u32| chosen.contains(&columns.part(attribute, code));
            let mask = (0..columns.codes(column) as u32).map(passes);
            if let Some((_, there)) = masks.iter_mut().find(|(other, _)| *other == column) {
                there.iter_mut().zip(mask).for_each(|(there, passes)| *there &= passes);
            } else {
                masks.push((column, mask.collect()));
            }
        }
        let amounts = (filter.min_cents.is_some() || filter.max_cents.is_some())
            .then(|| (filter.min_cents.unwrap_or(ABSENT + 1), filter.max_cents.unwrap_or(i64::MAX)));
        let kinds = 0..columns.codes(CodedColumn::Kind) as u32;
        let currency = find(columns, Attribute::CURRENCY, currency);
        let is_in = |kind: u32| Some(columns.part(Attribute::CURRENCY, kind)) == currency;
        Self {
            masks,
            amounts,
            in_currency: kinds.clone().map(|kind| -i8::from(is_in(kind))).collect(),
            outcomes: kinds.map(|kind| columns.outcome(kind)).collect(),
        }
    }
}

/// A name's code, if there is such a name; currencies are compared without case.
fn find(columns: &Columns, attribute: Attribute, name: Option<&str>) -> Option<u32> {
    let names = columns.dictionary(attribute);
    match name {
        Some(name) if attribute == Attribute::CURRENCY => names.find(Some(Currency::read(name)?.as_str())),
        name => names.find(name),
    }
}

/// Rows that passed, and what each adds.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Their places in the block.
    pub(crate) rows: Vec<u16>,
    /// The same where they follow each other.
    run: Option<Range<usize>>,
    pub(crate) kinds: Vec<u32>,
    pub(crate) cells: Vec<CountAndSum>,
    /// The amount of each in cents; [`ABSENT`] without one in the query's currency.
    pub(crate) cents: Vec<i64>,
    /// Which of them have one.
    pub(crate) paid: Vec<u16>,
    /// From when to when they are.
    span: (i64, i64),
    /// The slot of time of each, or [`NOWHERE`]; empty where it is one for all.
    pub(crate) slots: Vec<u32>,
    /// The slot that all are in, where that is known.
    pub(crate) one_slot: Option<u32>,
    pub(crate) cards: Vec<u32>,
    /// The group of each in one grouping, or [`NOWHERE`]; empty where it is one for all.
    pub(crate) members: Vec<u32>,
    /// The group that all are in, where that is known.
    pub(crate) one_group: Option<u32>,
    /// The column whose codes the groups are.
    grouped: Option<CodedColumn>,
}

impl Chunk {
    /// Chooses the rows in a range of the block that are in a range of time and pass the filter.
    pub(crate) fn select(&mut self, block: &Block, rows: Range<usize>, time: Option<(i64, i64)>, terms: &Terms) {
        self.rows.clear();
        self.span = block.span(&rows);
        if time.is_some_and(|(from, to)| self.span.1 < from || self.span.0 >= to) {
            return;
        }
        self.rows.extend(rows.clone().map(|row| row as u16));
        if let Some((from, to)) = time
            && (self.span.0 < from || self.span.1 >= to)
        {
            // An absent time is before all others.
            retain(&mut self.rows, |row| block.time[row] >= from && block.time[row] < to);
        }
        for (column, mask) in &terms.masks {
            with_codes!(block.codes(*column), codes => retain(&mut self.rows, |row| mask[codes[row] as usize]));
        }
        if let Some((low, high)) = terms.amounts {
            match &block.amount {
                Amounts::Narrow(cents) => retain(&mut self.rows, |row| {
                    let cents = cents[row];
                    (cents != i32::MIN) & (low <= i64::from(cents)) & (i64::from(cents) <= high)
                }),
                Amounts::Wide(cents) => retain(&mut self.rows, |row| (low..=high).contains(&cents[row])),
            }
        }
        self.run = (self.rows.len() == rows.len()).then_some(rows);
        self.grouped = None;
    }

    /// Fills in what each chosen row adds, or takes away.
    pub(crate) fn measure(&mut self, block: &Block, terms: &Terms, subtract: bool) {
        decode(block, CodedColumn::Kind, self.run.clone(), &self.rows, &mut self.kinds);
        block.amount.gather(&self.rows, &mut self.cents);
        // Which row has which currency cannot be predicted: no branches here.
        for (cents, kind) in self.cents.iter_mut().zip(&self.kinds) {
            let keep = i64::from(terms.in_currency[*kind as usize]);
            *cents = (*cents & keep) | (ABSENT & !keep);
        }
        self.paid.clear();
        self.paid.extend(0..self.cents.len() as u16);
        retain(&mut self.paid, |at| self.cents[at] != ABSENT);
        self.cells.clear();
        self.cells.extend(self.cents.iter().map(|cents| {
            let has = u64::from(*cents != ABSENT);
            let cell = [1 | has << 32, *cents as u64 & has.wrapping_neg()];
            if subtract { cell.map(u64::wrapping_neg) } else { cell }
        }));
    }

    /// Fills in the slots of time. Rows mostly follow each other in time: all may be in one.
    pub(crate) fn place_in_time(&mut self, block: &Block, buckets: Option<&Buckets>) {
        self.slots.clear();
        let Some(buckets) = buckets else {
            self.one_slot = Some(NOWHERE);
            return;
        };
        let mut finder = Finder::new(buckets);
        let first = Some(self.span.0).filter(|first| *first != ABSENT);
        self.one_slot = first.and_then(|time| finder.slot(time)).filter(|_| self.all_within(finder.current()));
        if self.one_slot.is_none() {
            let slot = |row: &u16| match block.time[usize::from(*row)] {
                ABSENT => NOWHERE,
                time => finder.slot(time).unwrap_or(NOWHERE),
            };
            self.slots.extend(self.rows.iter().map(slot));
        }
    }

    fn all_within(&self, (from, to): (i64, i64)) -> bool {
        from <= self.span.0 && self.span.1 < to
    }

    /// Fills in the hours of the week as groups, by the clocks of a time zone.
    pub(crate) fn place_in_week(&mut self, block: &Block, offsets: &Offsets) {
        const HOUR: i64 = 3600 * SECOND;
        /// 1970 began on a Thursday.
        const MONDAY: i64 = 3 * 24;
        let mut stretch = offsets.stretch(self.span.0);
        let mut hour_of = |time: i64| {
            if !stretch.contains(time) {
                stretch = offsets.stretch(time);
            }
            let number = (time + stretch.shift).div_euclid(HOUR);
            let from = number * HOUR - stretch.shift;
            let within = (from.max(stretch.from), (from + HOUR).min(stretch.until));
            (within, (number + MONDAY).rem_euclid(168) as u32)
        };
        self.grouped = None;
        self.members.clear();
        let (mut within, mut hour) =
            if self.span.0 == ABSENT { ((i64::MAX, i64::MIN), NOWHERE) } else { hour_of(self.span.0) };
        self.one_group = self.all_within(within).then_some(hour);
        if self.one_group.is_some() {
            return;
        }
        self.members.extend(self.rows.iter().map(|row| {
            let time = block.time[usize::from(*row)];
            if time == ABSENT {
                return NOWHERE;
            }
            if time < within.0 || time >= within.1 {
                (within, hour) = hour_of(time);
            }
            hour
        }));
    }

    /// Fills in cards.
    pub(crate) fn find_cards(&mut self, block: &Block) {
        decode(block, CodedColumn::Card, self.run.clone(), &self.rows, &mut self.cards);
    }

    /// Fills in groups: a column's codes, or what a map makes of them.
    pub(crate) fn group(&mut self, block: &Block, column: CodedColumn, map: &[u32]) {
        self.one_group = None;
        if self.grouped != Some(column) {
            decode(block, column, self.run.clone(), &self.rows, &mut self.members);
        }
        self.grouped = map.is_empty().then_some(column);
        if !map.is_empty() {
            self.members.iter_mut().for_each(|code| *code = map[*code as usize]);
        }
    }

    /// The group and amount of each row that has both.
    pub(crate) fn amounts(&self) -> impl Iterator<Item = (usize, i64)> {
        let group = |at: usize| self.one_group.unwrap_or_else(|| self.members[at]);
        let paid = self.paid.iter().map(|at| usize::from(*at)).map(move |at| (group(at), self.cents[at]));
        paid.filter(|(group, _)| *group != NOWHERE).map(|(group, cents)| (group as usize, cents))
    }

    /// The group and card of each row that has a group.
    pub(crate) fn cards_by_group(&self) -> impl Iterator<Item = (u32, u32)> {
        let group = |at: usize| self.one_group.unwrap_or_else(|| self.members[at]);
        let all = self.cards.iter().enumerate().map(move |(at, card)| (group(at), *card));
        all.filter(|(group, _)| *group != NOWHERE)
    }

    /// Fills in the slots of time as groups.
    pub(crate) fn group_by_slot(&mut self) {
        self.grouped = None;
        self.members.clone_from(&self.slots);
        self.one_group = self.one_slot;
    }

    /// Splits the groups by outcome: each becomes [`OUTCOMES`] of them.
    pub(crate) fn split(&mut self, terms: &Terms) {
        (self.one_group, self.grouped) = (None, None);
        for (member, kind) in self.members.iter_mut().zip(&self.kinds).filter(|(member, _)| **member != NOWHERE) {
            *member = *member * OUTCOMES as u32 + u32::from(terms.outcomes[*kind as usize]);
        }
    }
}

fn decode(block: &Block, column: CodedColumn, run: Option<Range<usize>>, rows: &[u16], out: &mut Vec<u32>) {
    match run {
        Some(run) => block.codes(column).copy(run, out),
        None => block.codes(column).gather(rows, out),
    }
}

/// Keeps the rows that pass, without a branch for each.
fn retain(rows: &mut Vec<u16>, mut passes: impl FnMut(usize) -> bool) {
    let mut kept = 0;
    for at in 0..rows.len() {
        let row = rows[at];
        rows[kept] = row;
        kept += usize::from(passes(usize::from(row)));
    }
    rows.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::columns::OrderRow;

    #[test]
    fn rows_of_a_range() {
        let mut columns = Columns::default();
        for time in [20, 10, 30] {
            columns.push(&OrderRow { time, ..OrderRow::default() }).unwrap();
        }
        let terms = Terms::new(&Filter::default(), None, &columns);
        let mut chunk = Chunk::default();
        let mut of = |columns: &Columns, range| {
            chunk.select(&columns.blocks[0], 0..columns.rows(), range, &terms);
            chunk.rows.clone()
        };
        assert_eq!(of(&columns, None), [0, 1, 2]);
        for (range, rows) in [((10, 30), vec![0, 1]), ((10, 31), vec![0, 1, 2]), ((11, 31), vec![0, 2])] {
            assert_eq!(of(&columns, Some(range)), rows, "{range:?}");
        }
        for (range, rows) in [((30, 40), vec![2]), ((31, 40), vec![]), ((0, 10), vec![]), ((0, 11), vec![1])] {
            assert_eq!(of(&columns, Some(range)), rows, "{range:?}");
        }
        columns.push(&OrderRow { time: ABSENT, ..OrderRow::default() }).unwrap();
        assert_eq!(of(&columns, None), [0, 1, 2, 3]);
        assert_eq!(of(&columns, Some((0, 40))), [0, 1, 2]);
    }
}
