//! Processes a few rows of a block at a time, so that they fit in the processor's first-level cache: selects those that
//! pass the filter, and computes what each adds to its group.

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
use crate::rows::outcome::{IS_APPROVED, IS_DECLINED, IS_REFUND, IS_RISKY, OUTCOMES, Outcome, below_zero};

/// The number of rows that are processed together.
pub(crate) const ROWS: usize = crate::rows::block::SPAN;
/// The slot or group of a row that is in none.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Sums up rows. The first number has the count of rows in its lower 32 bits and the count of amounts in its upper 32
/// bits; the second is the sum of the amounts in cents. Both wrap, so that adding a negated cell subtracts it.
pub(crate) type CountAndSum = [u64; 2];

/// Holds the counts and the sum of the amounts of a set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// The number of rows.
    pub count: u64,
    /// The number of rows with an amount in the query's currency.
    pub amounts: u64,
    /// The sum of the amounts in the query's currency, in cents.
    pub sum: i64,
    /// The number of rows that were approved. For groups, this and the fields below are valid only if outcomes were
    /// asked for, or if the groups are derived from the totals by kind.
    pub approved: u64,
    /// The number of rows that were approved or declined.
    pub decided: u64,
    /// The number of rows that were declined.
    pub declined: u64,
    /// The number of rows whose risk flag is true.
    pub risky: u64,
    /// The number of purchases: approved rows with an amount in the query's currency that is not below zero.
    pub purchases: u64,
    /// The sum of the amounts of purchases, in cents.
    pub value: i64,
    /// The sum of the amounts of refunds in the query's currency, in cents, as a positive number. Refunds are approved
    /// rows with an amount below zero.
    pub refunds: i64,
}

impl Figures {
    /// Adds a cell whose rows all have the given outcome.
    pub(crate) fn count_in(&mut self, [rows, sum]: CountAndSum, outcome: Outcome) {
        let (count, amounts, sum) = (rows & u64::from(u32::MAX), rows >> 32, sum as i64);
        self.count += count;
        self.amounts += amounts;
        self.sum += sum;
        match outcome & !IS_RISKY {
            IS_APPROVED => {
                self.approved += count;
                self.purchases += amounts;
                self.value += sum;
            }
            IS_REFUND => {
                self.approved += count;
                self.refunds -= sum;
            }
            IS_DECLINED => self.declined += count,
            _ => {}
        }
        self.decided = self.approved + self.declined;
        if outcome & IS_RISKY != 0 {
            self.risky += count;
        }
    }

    /// Adds the cells of both signed kinds of a kind.
    pub(crate) fn count_kind(&mut self, cells: [CountAndSum; 2], kind: u32, columns: &Columns) {
        for (cell, outcome) in cells.into_iter().zip(outcomes(kind, columns)) {
            self.count_in(cell, outcome);
        }
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
            purchases: self.purchases + other.purchases,
            value: self.value + other.value,
            refunds: self.refunds + other.refunds,
        }
    }
}

pub(crate) fn add(cell: &mut CountAndSum, other: CountAndSum) {
    cell[0] = cell[0].wrapping_add(other[0]);
    cell[1] = cell[1].wrapping_add(other[1]);
}

/// Holds a filter and a currency, translated to codes.
#[derive(Debug)]
pub(crate) struct Terms {
    /// For each filtered column, whether each of its codes passes.
    masks: Vec<(CodedColumn, Vec<bool>)>,
    /// The smallest and the largest amount that passes, in cents; None if all rows pass.
    amounts: Option<(i64, i64)>,
    /// For each kind, a mask: all bits are set if its currency is the one whose amounts are summed, otherwise none.
    in_currency: Vec<i8>,
    /// The outcome of each signed kind.
    pub(crate) outcomes: Vec<Outcome>,
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
            outcomes: kinds.flat_map(|kind| outcomes(kind, columns)).collect(),
        }
    }
}

/// Returns the outcomes of both signed kinds of a kind.
pub(crate) fn outcomes(kind: u32, columns: &Columns) -> [Outcome; 2] {
    let outcome = columns.outcome(kind);
    [outcome, below_zero(outcome)]
}

/// Returns the code of a name; None if no row has had it. Currencies are compared without case.
fn find(columns: &Columns, attribute: Attribute, name: Option<&str>) -> Option<u32> {
    let names = columns.dictionary(attribute);
    match name {
        Some(name) if attribute == Attribute::CURRENCY => names.find(Some(Currency::read(name)?.as_str())),
        name => names.find(name),
    }
}

/// Holds the selected rows of a range, and what each adds to the counts. All lists have one element for each row,
/// unless stated otherwise.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Indices of the selected rows in the block.
    pub(crate) rows: Vec<u16>,
    /// The same indices as a range; None if they are not consecutive.
    run: Option<Range<usize>>,
    /// Twice the code of the kind, plus one if the amount is below zero: the signed kind.
    pub(crate) kinds: Vec<u32>,
    pub(crate) cells: Vec<CountAndSum>,
    /// The amount in cents; [`ABSENT`] if the row has none in the query's currency.
    pub(crate) cents: Vec<i64>,
    /// Indices into the other lists of those rows that have an amount.
    pub(crate) paid: Vec<u16>,
    /// The first and last time of the range, [`ABSENT`] being the least. Rows that are not selected may be included.
    span: (i64, i64),
    /// The slot of time, or [`NOWHERE`]; empty if `one_slot` is set.
    pub(crate) slots: Vec<u32>,
    /// The slot of all rows, if they are known to be in one.
    pub(crate) one_slot: Option<u32>,
    pub(crate) cards: Vec<u32>,
    /// The group in the current grouping, or [`NOWHERE`]; not used if `one_group` is set.
    pub(crate) members: Vec<u32>,
    /// The group of all rows, if they are known to be in one.
    pub(crate) one_group: Option<u32>,
    /// The column whose codes are in `members`, if these are codes.
    grouped: Option<CodedColumn>,
}

impl Chunk {
    /// Selects the rows in a range of the block that are in a range of time and pass the filter.
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
            // An absent time is less than all others, so it is in no range.
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

    /// Computes what each selected row adds, or subtracts.
    pub(crate) fn measure(&mut self, block: &Block, terms: &Terms, subtract: bool) {
        decode(block, CodedColumn::Kind, self.run.clone(), &self.rows, &mut self.kinds);
        block.amount.gather(&self.rows, &mut self.cents);
        // This avoids branches, because the processor cannot predict the currency of a row.
        for (cents, kind) in self.cents.iter_mut().zip(&mut self.kinds) {
            let keep = i64::from(terms.in_currency[*kind as usize]);
            *cents = (*cents & keep) | (ABSENT & !keep);
            *kind = *kind << 1 | u32::from(*cents < 0 && *cents != ABSENT);
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

    /// Finds the slots of time. Rows are mostly in the order of time, so all of them may be in one slot.
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

    /// Groups the rows by hour of the week, in local time.
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

    /// Finds the cards.
    pub(crate) fn find_cards(&mut self, block: &Block) {
        decode(block, CodedColumn::Card, self.run.clone(), &self.rows, &mut self.cards);
    }

    /// Groups the rows by the codes of a column, or by what `map` has for each code unless it is empty.
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

    /// Returns the group and the amount of each row that has both.
    pub(crate) fn amounts(&self) -> impl Iterator<Item = (usize, i64)> {
        let group = |at: usize| self.one_group.unwrap_or_else(|| self.members[at]);
        let paid = self.paid.iter().map(|at| usize::from(*at)).map(move |at| (group(at), self.cents[at]));
        paid.filter(|(group, _)| *group != NOWHERE).map(|(group, cents)| (group as usize, cents))
    }

    /// Returns the group and the card of each row that has a group.
    pub(crate) fn cards_by_group(&self) -> impl Iterator<Item = (u32, u32)> {
        let group = |at: usize| self.one_group.unwrap_or_else(|| self.members[at]);
        let all = self.cards.iter().enumerate().map(move |(at, card)| (group(at), *card));
        all.filter(|(group, _)| *group != NOWHERE)
    }

    /// Groups the rows by slot of time.
    pub(crate) fn group_by_slot(&mut self) {
        self.grouped = None;
        self.members.clone_from(&self.slots);
        self.one_group = self.one_slot;
    }

    /// Splits each group into [`OUTCOMES`] groups, one for each outcome.
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

/// Keeps the rows that pass. It has no branch for each row, which the processor could not predict.
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
    fn rows_are_selected_by_time() {
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
