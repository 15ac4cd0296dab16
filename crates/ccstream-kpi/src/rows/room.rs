//! Limits the memory of the columns: evicts the oldest rows, removes names that no row has any more, and counts the
//! rarest names together if there are too many.

use std::collections::HashMap;

use super::attribute::{Attribute, COUNT};
use super::block::{BLOCK_ROWS, CodedColumn};
use super::codes::with_codes;
use super::columns::{Columns, Composite, Coordinates, OTHERS, count_kind};
use super::dictionary::{Dictionary, Memo, UNKNOWN};

/// The number of bytes that a name takes in addition to its text, in a dictionary and in the counts of kept queries.
const NAME_BYTES: usize = 64;
/// The number of bytes that a combination takes for each of its names (its code twice, and its text from PostgreSQL),
/// and in addition to these.
const COMBINATION_BYTES: (usize, usize) = (24, 48);
const COLUMNS: [CodedColumn; 4] = [CodedColumn::Kind, CodedColumn::Place, CodedColumn::Merchant, CodedColumn::Card];

impl Columns {
    /// Returns whether there is room for more rows, given a maximum number of rows and the `limit` of
    /// [`Columns::limit_bytes`].
    pub fn has_room(&self, max_rows: usize, limit: usize) -> bool {
        self.rows() < max_rows && self.row_bytes() <= limit / 3 * 2
    }

    /// Limits the columns to a number of bytes. Rows may take two thirds of it, beyond which the oldest are evicted;
    /// names may take one third, beyond which the rarest are counted together as [`OTHERS`]. Without this limit,
    /// whoever sends messages could fill the memory with names. `now` is the time in microseconds since 1970 UTC.
    pub fn limit_bytes(&mut self, limit: usize, now: i64) {
        let (rows, most) = (self.row_bytes(), limit / 3 * 2);
        if rows > most {
            // Rows of a block that is not full take more bytes than those of a full one.
            let keep = (self.rows() as u128 * most as u128 / rows as u128) as usize;
            self.drop_oldest(keep, None, now);
        }
        if self.name_bytes() > limit / 3 {
            // Folding visits all rows. To make it rare, it leaves half of the names' share free.
            self.fold_names(limit / 6);
        }
    }

    /// Evicts full blocks, oldest first, while more than `max_rows` rows are held, and every full block of which 99 %
    /// is older than `oldest`. When it evicts for lack of room it frees 1/32 more than necessary, because each eviction
    /// forces all kept queries to be recounted. The open block is evicted only for lack of room, and only if it is
    /// older than the full block that would be evicted otherwise, as may happen while the first load goes back in time.
    pub fn drop_oldest(&mut self, max_rows: usize, oldest: Option<i64>, now: i64) {
        let mut rows = self.rows();
        let before = self.generation;
        let wanted = if rows > max_rows { max_rows - max_rows / 32 } else { max_rows };
        loop {
            let full = self.blocks.iter().enumerate().filter(|(_, block)| block.len() == BLOCK_ROWS);
            let Some((mut at, mut block)) = full.min_by_key(|(_, block)| block.late) else { break };
            if rows <= wanted && oldest.is_none_or(|oldest| block.late >= oldest) {
                break;
            }
            if let Some(last) = self.blocks.last()
                && rows > wanted
                && last.age() < block.late
            {
                (at, block) = (self.blocks.len() - 1, last);
            }
            rows -= block.len();
            // A row that a wrong clock dated into the future may be evicted too. Times after `now` do not count here.
            self.dropped_until = self.dropped_until.max(Some(block.last.min(now)));
            let block = self.blocks.remove(at);
            with_codes!(block.codes(CodedColumn::Kind), codes => {
                for code in codes {
                    self.kind_rows[*code as usize] -= 1;
                }
            });
            self.generation += 1;
        }
        if self.generation > before {
            self.forget_names(CodedColumn::Merchant, Attribute::MERCHANT, 0);
            self.forget_names(CodedColumn::Card, Attribute::CARD, 1);
        }
    }

    /// Removes the names that no row has any more, once there are twice as many names as were in use the last time.
    /// This is done for merchants and cards only, since other attributes have few names.
    fn forget_names(&mut self, column: CodedColumn, attribute: Attribute, at: usize) {
        let names = self.codes(column);
        if names < 2 * self.in_use[at].max(BLOCK_ROWS) {
            return;
        }
        let mut used = vec![false; names];
        used[UNKNOWN as usize] = true;
        for block in &self.blocks {
            with_codes!(block.codes(column), codes => codes.iter().for_each(|code| used[*code as usize] = true));
        }
        let mut kept = Dictionary::default();
        let code =
            |(code, used): (u32, &bool)| if *used { kept.code(self.dictionary(attribute).name(code)) } else { 0 };
        let new: Vec<u32> = (0..).zip(&used).map(code).collect();
        self.in_use[at] = kept.len();
        self.dictionaries[attribute.index()] = kept;
        self.blocks.iter_mut().for_each(|block| block.codes[column as usize].recode(&new));
        if attribute == Attribute::MERCHANT {
            self.code_segments();
        }
    }

    /// Keeps the most frequent names that fit in a number of bytes, and counts the rows of all others as [`OTHERS`].
    fn fold_names(&mut self, budget: usize) {
        let keep = self.most_frequent(budget);
        let mut new: [Vec<u32>; COUNT] = std::array::from_fn(|_| Vec::new());
        for attribute in Attribute::all() {
            let (at, keep) = (attribute.index(), &keep[attribute.index()]);
            let old = std::mem::take(&mut self.dictionaries[at]);
            let mut kept = Dictionary::default();
            // No new code is greater than the old one, because the first folded name creates the code of `OTHERS`.
            new[at] = (0..old.len() as u32)
                .map(|code| kept.code(if keep[code as usize] { old.name(code) } else { Some(OTHERS) }))
                .collect();
            self.folded[at] |= keep.contains(&false);
            self.dictionaries[at] = kept;
        }
        let kinds = std::mem::take(&mut self.kinds);
        let parts = renamed(&kinds.parts, CodedColumn::Kind, &new);
        let (kept, recoded) = self.fold_combinations(CodedColumn::Kind, &parts, budget / 2);
        self.outcomes.clear();
        for parts in kept {
            self.code_kind(parts);
        }
        let rows = std::mem::take(&mut self.kind_rows);
        for (kind, count) in recoded.iter().zip(&rows) {
            count_kind(&mut self.kind_rows, *kind as usize, *count);
        }
        let (places, coordinates) = (std::mem::take(&mut self.places), std::mem::take(&mut self.coordinates));
        let parts = renamed(&places.parts, CodedColumn::Place, &new);
        let (kept, place_codes) = self.fold_combinations(CodedColumn::Place, &parts, budget / 2);
        self.coordinates = vec![Coordinates::default(); kept.len()];
        for (place, found) in place_codes.iter().zip(coordinates).rev() {
            self.coordinates[*place as usize] = found;
        }
        for parts in kept {
            self.places.code(parts);
        }
        (self.kinds_met, self.places_met) = (Memo::default(), Memo::default());
        let [merchants, cards] = [Attribute::MERCHANT, Attribute::CARD].map(|attribute| &new[attribute.index()]);
        for block in &mut self.blocks {
            for (column, codes) in COLUMNS.into_iter().zip([&recoded, &place_codes, merchants, cards]) {
                block.codes[column as usize].recode(codes);
            }
        }
        self.in_use = [0; 2];
        self.generation += 1;
        self.code_segments();
    }

    /// Keeps the most frequent combinations of a composite column that fit in a number of bytes, since even few names
    /// have many combinations. All others become one combination that consists of [`OTHERS`]; those without rows are
    /// removed.
    ///
    /// Returns the combinations by their new codes, and the new code of each old one. No new code is greater than the
    /// old one.
    fn fold_combinations<const N: usize>(
        &mut self,
        column: CodedColumn,
        parts: &[[u32; N]],
        budget: usize,
    ) -> (Vec<[u32; N]>, Vec<u32>) {
        let mut of_parts: HashMap<[u32; N], u64> = HashMap::new();
        let rows = self.rows_of_codes(column, parts.len());
        for (parts, rows) in parts.iter().zip(&rows) {
            *of_parts.entry(*parts).or_default() += rows;
        }
        of_parts.retain(|_, rows| *rows > 0);
        let most = (budget / (COMBINATION_BYTES.0 * N + COMBINATION_BYTES.1)).max(1);
        let is_folded = of_parts.len() > most;
        if is_folded {
            let mut counts: Vec<u64> = of_parts.values().copied().collect();
            let (_, least, _) = counts.select_nth_unstable_by(most - 1, |one, two| two.cmp(one));
            let least = *least;
            // Of combinations as frequent as the last that fits, none is kept, because the choice would be random.
            of_parts.retain(|_, rows| *rows > least);
        }
        let mut others = [UNKNOWN; N];
        if is_folded {
            for (attribute, part) in Attribute::coded_in(column).zip(&mut others) {
                *part = self.dictionaries[attribute.index()].code(Some(OTHERS));
                self.folded[attribute.index()] = true;
            }
        }
        let mut merged = Composite::default();
        let code = |(parts, rows): (&[u32; N], &u64)| match (rows, of_parts.contains_key(parts)) {
            (0, _) => 0,
            (_, true) => merged.code(*parts),
            (_, false) => merged.code(others),
        };
        let recoded = parts.iter().zip(&rows).map(code).collect();
        (merged.parts, recoded)
    }

    /// Returns the number of rows of each code of a column.
    fn rows_of_codes(&self, column: CodedColumn, codes: usize) -> Vec<u64> {
        let mut rows = vec![0; codes];
        for block in &self.blocks {
            with_codes!(block.codes(column), codes => codes.iter().for_each(|code| rows[*code as usize] += 1));
        }
        rows
    }

    /// Returns for each attribute whether each code's name is among the most frequent ones that fit in a number of
    /// bytes.
    fn most_frequent(&self, budget: usize) -> [Vec<bool>; COUNT] {
        let mut rows: [Vec<u64>; COUNT] = std::array::from_fn(|at| vec![0; self.dictionaries[at].len()]);
        for column in COLUMNS {
            let of_code = self.rows_of_codes(column, self.codes(column));
            for attribute in Attribute::coded_in(column) {
                for (code, count) in (0..).zip(&of_code) {
                    rows[attribute.index()][self.part(attribute, code) as usize] += count;
                }
            }
        }
        let names = |(at, rows): (usize, &Vec<u64>)| {
            let of = |(code, rows): (u32, &u64)| (std::cmp::Reverse(*rows), code, at);
            (0..).zip(rows).map(of).collect::<Vec<_>>()
        };
        let mut names: Vec<_> = rows.iter().enumerate().flat_map(names).collect();
        names.sort_unstable();
        let mut keep: [Vec<bool>; COUNT] = std::array::from_fn(|at| vec![false; rows[at].len()]);
        let mut left = budget;
        for (_, code, at) in names {
            let bytes = self.dictionaries[at].name(code).map_or(0, |name| name.len() + NAME_BYTES);
            // The absent name takes no room, so it is always kept.
            keep[at][code as usize] = bytes == 0 || bytes <= left;
            left = left.saturating_sub(bytes);
        }
        keep
    }
}

/// Returns the parts of each combination of a composite column, with the new codes of the names.
fn renamed<const N: usize>(parts: &[[u32; N]], column: CodedColumn, new: &[Vec<u32>; COUNT]) -> Vec<[u32; N]> {
    let rename = |parts: &[u32; N]| {
        let mut renamed = *parts;
        for (attribute, part) in Attribute::coded_in(column).zip(&mut renamed) {
            *part = new[attribute.index()][*part as usize];
        }
        renamed
    };
    parts.iter().map(rename).collect()
}

#[cfg(test)]
mod tests {
    use super::super::block::Block;
    use super::super::codes::ABSENT;
    use super::super::columns::OrderRow;
    use super::*;

    /// Returns the name of each row's card, in the order of the rows.
    fn cards(columns: &Columns) -> Vec<String> {
        let of = |block: &Block, row: usize| columns.name(Attribute::CARD, block.codes(CodedColumn::Card).get(row));
        let rows = columns.blocks.iter().flat_map(|block| (0..block.len()).map(move |row| (block, row)));
        rows.map(|(block, row)| of(block, row).unwrap_or("none").to_owned()).collect()
    }

    #[test]
    fn names_are_removed_after_their_rows() {
        let mut columns = Columns::default();
        let all: Vec<String> = (0..=6 * BLOCK_ROWS).map(|row| format!("card {}", row / 2)).collect();
        for (time, card) in (0..).zip(&all) {
            let card = (time % 10 != 0).then_some(card.as_bytes());
            columns.push(&OrderRow { time, card, merchant: Some(b"m"), ..OrderRow::default() }).unwrap();
        }
        let (names, bytes) = (columns.codes(CodedColumn::Card), columns.bytes());
        let before = cards(&columns);
        columns.drop_oldest(2 * BLOCK_ROWS + BLOCK_ROWS / 8, None, i64::MAX);
        assert_eq!(cards(&columns), before[4 * BLOCK_ROWS..]);
        assert!(columns.codes(CodedColumn::Card) < names / 2 && columns.bytes() < bytes / 2);
        assert_eq!((columns.dropped_until, columns.generation), (Some(4 * BLOCK_ROWS as i64 - 1), 4));
        // Unused names are removed only if there are many.
        columns.drop_oldest(BLOCK_ROWS + BLOCK_ROWS / 8, None, i64::MAX);
        assert_eq!(cards(&columns), before[5 * BLOCK_ROWS..]);
        assert_eq!(columns.dictionary(Attribute::CARD).find(Some("card 5")), None);
        columns.push(&OrderRow { card: Some(b"card 5"), ..OrderRow::default() }).unwrap();
        assert_eq!(cards(&columns).last().map(String::as_str), Some("card 5"));
    }

    #[test]
    fn blocks_older_than_a_limit_are_evicted() {
        let mut columns = Columns::default();
        // The first load goes back in time.
        for block in [3, 2, 1, 0] {
            for row in 0..BLOCK_ROWS as i64 {
                columns.push(&OrderRow { time: block * 1_000_000 + row, ..OrderRow::default() }).unwrap();
            }
        }
        let late = 1_000_000 + (BLOCK_ROWS - 1 - BLOCK_ROWS / 100) as i64;
        columns.drop_oldest(usize::MAX, Some(late), 9_000_000);
        let first: Vec<i64> = columns.blocks.iter().map(|block| block.first).collect();
        assert_eq!(first, [3_000_000, 2_000_000, 1_000_000]);
        assert_eq!(columns.dropped_until, Some(BLOCK_ROWS as i64 - 1));
        columns.drop_oldest(usize::MAX, Some(late + 1), 9_000_000);
        assert_eq!(columns.blocks.len(), 2);
    }

    #[test]
    fn the_newest_rows_stay_if_they_were_read_first() {
        let mut columns = Columns::default();
        // The newest piece fills one block, and the older piece two and a half.
        let newest = BLOCK_ROWS as i64;
        for time in (1_000_000..1_000_000 + newest).chain(0..newest * 5 / 2) {
            columns.push(&OrderRow { time, ..OrderRow::default() }).unwrap();
        }
        columns.drop_oldest(BLOCK_ROWS + BLOCK_ROWS / 8, None, i64::MAX);
        let first: Vec<i64> = columns.blocks.iter().map(|block| block.first).collect();
        assert_eq!((first, columns.dropped_until), (vec![1_000_000], Some(newest * 5 / 2 - 1)));
        // The next row goes into another block.
        columns.push(&OrderRow { time: 2_000_000, ..OrderRow::default() }).unwrap();
        assert_eq!(columns.blocks.iter().map(Block::len).collect::<Vec<_>>(), [BLOCK_ROWS, 1]);
    }

    #[test]
    fn a_wrong_clock_does_not_keep_a_block() {
        let mut columns = Columns::default();
        for row in 0..3 * BLOCK_ROWS as i64 {
            let time = if row == 7 { 1 << 50 } else { row };
            let time = if row >= 2 * BLOCK_ROWS as i64 { ABSENT } else { time };
            columns.push(&OrderRow { time, ..OrderRow::default() }).unwrap();
        }
        columns.drop_oldest(2 * BLOCK_ROWS + BLOCK_ROWS / 8, None, 1 << 40);
        assert_eq!(
            columns.blocks.iter().map(|block| block.start).collect::<Vec<_>>(),
            [1, 2].map(|block| block * BLOCK_ROWS as u64)
        );
        assert_eq!(columns.dropped_until, Some(1 << 40));
    }

    #[test]
    fn the_rarest_of_too_many_names_are_counted_together() {
        let field = |text: &str| [&(text.len() as i32).to_be_bytes()[..], text.as_bytes()].concat();
        let mut columns = Columns::default();
        // One row in six has one of ten frequent names. The others each have a name that no other row has.
        for row in 0..600_i64 {
            let name = if row % 6 == 0 { format!("often {}", row / 6 % 10) } else { format!("once {row}") };
            let city = [field(&name), field("NL")].concat();
            columns
                .push(&OrderRow {
                    time: row,
                    latitude: Some(1.0),
                    longitude: Some(2.0),
                    merchant: Some(name.as_bytes()),
                    card: Some(b"card"),
                    place: &city,
                    kind: &[field("food"), field(&name)].concat(),
                    ..OrderRow::default()
                })
                .unwrap();
        }
        let rows_of = |columns: &Columns, attribute: Attribute| {
            let mut rows = std::collections::BTreeMap::new();
            for block in &columns.blocks {
                for row in 0..block.len() {
                    let code = block.codes(attribute.coded_column()).get(row);
                    *rows.entry(columns.name(attribute, code).map(str::to_owned)).or_insert(0) += 1;
                }
            }
            rows
        };
        let before = rows_of(&columns, Attribute::MERCHANT);
        assert_eq!((before.len(), columns.folded), (510, [false; COUNT]));
        let limit = columns.name_bytes() * 3 - 3;
        columns.limit_bytes(limit, 0);
        assert!(columns.name_bytes() <= limit / 3);
        let payment_method = Attribute::all().find(|one| one.definition().name == "payment_method").unwrap();
        for attribute in [Attribute::MERCHANT, Attribute::CITY, payment_method] {
            let rows = rows_of(&columns, attribute);
            assert!(columns.folded[attribute.index()]);
            for name in 0..10 {
                assert_eq!(rows.get(&Some(format!("often {name}"))), Some(&10), "{attribute:?}");
            }
            let others = rows.get(&Some(OTHERS.to_owned())).copied().unwrap_or_default();
            assert_eq!(rows.values().sum::<i32>(), 600, "{attribute:?}");
            assert!(others > 0 && others as usize == 600 - 100 - (rows.len() - 11), "{attribute:?}: {others}");
        }
        assert_eq!(rows_of(&columns, Attribute::CARD).len(), 1);
        assert!(!columns.folded[Attribute::CARD.index()] && !columns.folded[Attribute::COUNTRY.index()]);
        // Places that are counted together have no coordinates.
        let places = 0..columns.codes(CodedColumn::Place) as u32;
        for place in places {
            let is_one = columns.name(Attribute::CITY, place) != Some(OTHERS);
            assert_eq!(columns.coordinates(place).latitude.is_some(), is_one);
        }
        assert_eq!(columns.kind_rows.iter().sum::<u64>(), 600);
        // A later row with a known name gets the name's code.
        columns.push(&OrderRow { merchant: Some(b"often 3"), ..OrderRow::default() }).unwrap();
        assert_eq!(rows_of(&columns, Attribute::MERCHANT)[&Some("often 3".into())], 11);
        // The columns stay within their limit while new names are added.
        for row in 0..5_000 {
            columns
                .push(&OrderRow { merchant: Some(format!("more {row}").as_bytes()), ..OrderRow::default() })
                .unwrap();
            columns.limit_bytes(limit, 0);
            assert!(columns.name_bytes() <= limit / 3);
        }
        assert_eq!(rows_of(&columns, Attribute::MERCHANT)[&Some("often 3".into())], 11);
    }

    #[test]
    fn the_rarest_of_too_many_combinations_are_counted_together() {
        let field = |text: &str| [&(text.len() as i32).to_be_bytes()[..], text.as_bytes()].concat();
        let mut columns = Columns::default();
        let limit = 1 << 20;
        // 90 names have 27,000 combinations. One row in four has the combination `usual`.
        for row in 0..40_000_u32 {
            let name = |by: u32| if row % 4 == 0 { "usual".to_owned() } else { format!("n{}", row / by % 30) };
            let kind = [field(&name(1)), field(&name(30)), field(&name(900))].concat();
            columns.push(&OrderRow { time: 0, kind: &kind, ..OrderRow::default() }).unwrap();
            if row % 1_000 == 0 {
                columns.limit_bytes(limit, 0);
            }
        }
        columns.limit_bytes(limit, 0);
        assert!(columns.name_bytes() <= limit / 3, "{}", columns.name_bytes());
        let rows = columns.rows() as u64;
        assert_eq!(columns.kind_rows.iter().sum::<u64>(), rows);
        let usual = (0..columns.codes(CodedColumn::Kind) as u32)
            .find(|kind| columns.name(Attribute::STATUS, *kind) == Some("usual"))
            .unwrap();
        // Rows were evicted too; a quarter of the remaining ones are usual.
        assert_eq!(columns.kind_rows[usual as usize], rows / 4);
        assert!(columns.folded[Attribute::STATUS.index()] && !columns.folded[Attribute::CITY.index()]);
        // There is nothing more to fold until rows are added.
        let generation = columns.generation;
        columns.limit_bytes(limit, 0);
        assert_eq!(columns.generation, generation);
    }

    #[test]
    fn rows_are_evicted_if_they_take_too_many_bytes() {
        let mut columns = Columns::default();
        for time in 0..10 * BLOCK_ROWS as i64 {
            columns.push(&OrderRow { time, cents: time, ..OrderRow::default() }).unwrap();
        }
        let limit = columns.row_bytes() * 3 / 4;
        columns.limit_bytes(limit, i64::MAX);
        assert!(columns.row_bytes() <= limit / 3 * 2);
        assert!(columns.rows() >= 4 * BLOCK_ROWS && columns.dropped_until.is_some());
    }
}
