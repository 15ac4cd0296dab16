//! This module adds up what the small tables of the analysis get from a batch. From these tables a page can show
//! distributions, quality and drift without reading `scores`.

mod add;
mod compare;
mod tables;

use std::collections::BTreeMap;

use hashbrown::HashMap;

use ccstream_analysis::cells::{MISSING, score_bounds, score_cell, value_cell};
use ccstream_analysis::features::{COUNT, DEFINITIONS, Features};
use ccstream_core::event::Micros;

pub(super) use self::add::add;
pub(in crate::postgres) use self::tables::{FEATURE_DAY, FRAUD_CARDS, SCORE_DAY, SCORE_MINUTE, TOP_CARD_DAY};

/// The number of cards of a day with the greatest scores that are kept.
pub(crate) const TOP_CARDS: usize = 100;
/// The features of one transaction in this number are counted, because all would take longer than the scores.
const SAMPLED: i64 = 16;
/// The number of cells of a feature, from [`MISSING`] on.
const CELLS: usize = 256;
const MINUTE: i64 = 60_000_000;
const DAY: i64 = 86_400_000_000;

/// What was scored in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) scored: i64,
    /// Number of high scores.
    pub(super) high: i64,
    /// The sum of the scores in millionths.
    pub(super) sum: i64,
}

/// The transaction with the greatest score of a card on a day. The order is that of the table: the greatest score first,
/// and of equal ones the first in the order of the analysis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Top {
    pub(super) score: f64,
    pub(super) seq: i64,
    pub(super) id: Box<str>,
}

/// The cards of a batch with the greatest scores on a day: [`TOP_CARDS`] of them, and others that are no longer among them.
#[derive(Debug, Default)]
pub(super) struct Tops {
    cards: HashMap<i64, Top>,
    /// A score that at least [`TOP_CARDS`] of the cards have; None before there are many.
    floor: Option<f64>,
}

impl Tops {
    fn add(&mut self, card: i64, one: &Tallied<'_>) {
        if self.floor.is_some_and(|floor| one.score <= floor) {
            return;
        }
        let top = || Top { score: one.score, seq: one.seq, id: one.id.into() };
        match self.cards.get_mut(&card) {
            None => drop(self.cards.insert(card, top())),
            Some(known) if one.score > known.score => *known = top(),
            Some(_) => {}
        }
        if self.cards.len() > 8 * TOP_CARDS {
            self.cards = self.sorted().into_iter().map(|(card, top)| (card, top.clone())).collect();
            self.floor = self.cards.values().map(|top| top.score).min_by(f64::total_cmp);
        }
    }

    /// Returns the cards with the greatest scores, at most [`TOP_CARDS`].
    fn sorted(&self) -> Vec<(i64, &Top)> {
        let mut cards: Vec<(i64, &Top)> = self.cards.iter().map(|(card, top)| (*card, top)).collect();
        cards.sort_unstable_by(|(_, one), (_, other)| other.score.total_cmp(&one.score).then(one.seq.cmp(&other.seq)));
        cards.truncate(TOP_CARDS);
        cards
    }
}

/// A transaction that was scored, as far as the small tables need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tallied<'a> {
    pub(crate) seq: i64,
    pub(crate) id: &'a str,
    pub(crate) time: Micros,
    pub(crate) card: Option<i64>,
    pub(crate) score: f64,
    pub(crate) shadow: Option<f64>,
    /// Whether the score is high, so that its reasons are stored.
    pub(crate) is_high: bool,
    pub(crate) features: &'a Features,
}

/// Counts by day and by cell. Days are counted from 1970.
#[derive(Debug, Default)]
pub(crate) struct Daily(BTreeMap<i32, Vec<i64>>);

impl Daily {
    /// Counts one in a cell of a day, of a number of cells.
    fn count(&mut self, day: i32, cell: usize, cells: usize) {
        self.0.entry(day).or_insert_with(|| vec![0; cells])[cell] += 1;
    }

    /// Returns whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the days, the cells, and how often each was counted; without cells that were not counted.
    pub(super) fn counted<T>(&self, cell: impl Fn(usize) -> T) -> (Vec<i32>, Vec<T>, Vec<i64>) {
        let (mut days, mut cells, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (day, counted) in &self.0 {
            for (at, count) in counted.iter().enumerate().filter(|(_, count)| **count > 0) {
                days.push(*day);
                cells.push(cell(at));
                counts.push(*count);
            }
        }
        (days, cells, counts)
    }
}

/// Adds up scores and features by minute and by day. Days are counted from 1970.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(super) minutes: BTreeMap<i64, Minute>,
    /// Number of scores by day and cell: of the model that scores, and of the shadow.
    pub(super) scores: Daily,
    pub(super) shadows: Daily,
    /// Number of values by day, feature and cell.
    pub(super) values: Daily,
    pub(super) tops: BTreeMap<i32, Tops>,
}

impl Tally {
    /// Adds a transaction. `floors` has the least score among the top cards of the days that have all of them.
    pub(crate) fn add(&mut self, one: &Tallied<'_>, floors: &BTreeMap<i32, f64>) {
        let day = one.time.0.div_euclid(DAY) as i32;
        let minute = self.minutes.entry(one.time.0.div_euclid(MINUTE) * MINUTE).or_default();
        minute.scored += 1;
        minute.high += i64::from(one.is_high);
        minute.sum += (one.score * 1e6 + 0.5).floor() as i64;
        let cells = score_bounds().len();
        self.scores.count(day, score_cell(one.score), cells);
        if let Some(shadow) = one.shadow {
            self.shadows.count(day, score_cell(shadow), cells);
        }
        self.add_values(one.seq, one.time, one.features);
        if let Some(card) = one.card
            && floors.get(&day).is_none_or(|floor| one.score > *floor)
        {
            self.tops.entry(day).or_default().add(card, one);
        }
    }

    /// Adds the features of a transaction, if it is one of those whose features are counted.
    pub(crate) fn add_values(&mut self, seq: i64, time: Micros, features: &Features) {
        if seq % SAMPLED == 0 {
            let day = time.0.div_euclid(DAY) as i32;
            for (feature, value) in features.0.iter().enumerate() {
                self.values.count(day, feature * CELLS + (value_cell(*value) - MISSING) as usize, COUNT * CELLS);
            }
        }
    }

    /// Returns the days, the names of features with their cells, and how often each was counted.
    pub(super) fn counted_values(&self) -> (Vec<i32>, Vec<(&'static str, i16)>, Vec<i64>) {
        self.values.counted(|at| (DEFINITIONS[at / CELLS].name, (at % CELLS) as i16 + MISSING))
    }

    /// Returns the cards with the greatest scores of each day, at most [`TOP_CARDS`] a day.
    pub(super) fn top_cards(&self) -> Vec<(i32, i64, &Top)> {
        self.tops
            .iter()
            .flat_map(|(day, tops)| tops.sorted().into_iter().map(|(card, top)| (*day, card, top)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tally: &mut Tally, seq: i64, at: i64, card: i64, score: f64, floors: &BTreeMap<i32, f64>) {
        let one = Tallied {
            seq,
            id: "a",
            time: Micros(at),
            card: Some(card),
            score,
            shadow: None,
            is_high: score >= 0.2,
            features: &Features::default(),
        };
        tally.add(&one, floors);
    }

    #[test]
    fn scores_are_counted_by_minute_and_day() {
        let mut tally = Tally::default();
        let none = BTreeMap::new();
        for (seq, at, score) in [(15, -1, 0.5), (16, 0, 0.000_000_5), (17, 59_999_999, 0.2), (18, 60_000_000, 0.21)] {
            add(&mut tally, seq, at, 1, score, &none);
        }
        let minutes: Vec<_> = tally.minutes.iter().map(|(at, one)| (*at, one.scored, one.high, one.sum)).collect();
        assert_eq!(minutes, [(-60_000_000, 1, 1, 500_000), (0, 2, 1, 200_001), (60_000_000, 1, 1, 210_000)]);
        let (days, cells, counts) = tally.scores.counted(|cell| score_bounds()[cell]);
        assert_eq!((days, cells, counts), (vec![-1, 0, 0, 0], vec![0.5, 0.0, 0.2, 0.21], vec![1; 4]));
        let (_, values, counts) = tally.counted_values();
        assert_eq!((values[0], values.len()), (("amount", MISSING), COUNT));
        assert_eq!(counts, [1; COUNT]);
    }

    #[test]
    fn a_card_is_among_the_top_by_its_greatest_score() {
        let mut tally = Tally::default();
        let floors = BTreeMap::from([(0, 0.1)]);
        for (seq, card, score) in [(1, 7, 0.3), (2, 8, 0.9), (3, 7, 0.4), (4, 9, 0.1), (5, 7, 0.4), (6, 10, 0.9)] {
            add(&mut tally, seq, 5, card, score, &floors);
        }
        let tops: Vec<_> = tally.top_cards().iter().map(|(_, card, top)| (*card, top.score, top.seq)).collect();
        assert_eq!(tops, [(8, 0.9, 2), (10, 0.9, 6), (7, 0.4, 3)]);
        for card in 100..250 {
            add(&mut tally, card, 5, card, 0.5, &floors);
        }
        assert_eq!(tally.top_cards().len(), TOP_CARDS);
    }

    #[test]
    fn the_top_of_many_cards_is_that_of_all() {
        let mut tally = Tally::default();
        let mut all = BTreeMap::new();
        for seq in 0..20_000 {
            // Several cards have the same score, and a card comes again with a lower or a higher one.
            let (card, score) = (seq * 7_919 % 3_000, (seq * 104_729 % 5_000) as f64 / 5_000.0);
            add(&mut tally, seq, 5, card, score, &BTreeMap::new());
            let top: &mut (f64, i64) = all.entry(card).or_insert((-1.0, 0));
            if score > top.0 {
                *top = (score, seq);
            }
        }
        let mut expected: Vec<_> = all.into_iter().map(|(card, (score, seq))| (card, score, seq)).collect();
        expected.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.2.cmp(&other.2)));
        let tops: Vec<_> = tally.top_cards().iter().map(|(_, card, top)| (*card, top.score, top.seq)).collect();
        assert_eq!(tops, expected[..TOP_CARDS]);
    }
}
