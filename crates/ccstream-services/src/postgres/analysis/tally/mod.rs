//! This module adds up what the small tables of the analysis get from a batch. From these tables a page can show
//! distributions, quality and drift without reading `scores`.

mod add;
mod compare;
mod tables;

use std::collections::{BTreeMap, HashMap};

use ccstream_analysis::cells::{score_cell, value_cell};
use ccstream_analysis::features::Features;
use ccstream_core::event::Micros;

pub(super) use self::add::add;
pub(in crate::postgres) use self::tables::{FEATURE_DAY, FRAUD_CARDS, SCORE_DAY, SCORE_MINUTE, TOP_CARD_DAY};

/// The number of cards of a day with the greatest scores that are kept.
pub(crate) const TOP_CARDS: usize = 100;
/// The features of one transaction in this number are counted, because all would take longer than the scores.
const SAMPLED: i64 = 16;
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

/// Adds up scores and features by minute and by day. Days are counted from 1970.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(super) minutes: BTreeMap<i64, Minute>,
    /// Number of scores by day and cell: of the model that scores, and of the shadow.
    pub(super) scores: BTreeMap<(i32, u16), i64>,
    pub(super) shadows: BTreeMap<(i32, u16), i64>,
    /// Number of values by day, feature and cell.
    pub(super) values: BTreeMap<(i32, u16, i16), i64>,
    pub(super) tops: BTreeMap<i32, HashMap<i64, Top>>,
}

impl Tally {
    /// Adds a transaction. `floors` has the least score among the top cards of the days that have all of them.
    pub(crate) fn add(&mut self, one: &Tallied<'_>, floors: &BTreeMap<i32, f64>) {
        let day = one.time.0.div_euclid(DAY) as i32;
        let minute = self.minutes.entry(one.time.0.div_euclid(MINUTE) * MINUTE).or_default();
        minute.scored += 1;
        minute.high += i64::from(one.is_high);
        minute.sum += (one.score * 1e6 + 0.5).floor() as i64;
        *self.scores.entry((day, score_cell(one.score) as u16)).or_default() += 1;
        if let Some(shadow) = one.shadow {
            *self.shadows.entry((day, score_cell(shadow) as u16)).or_default() += 1;
        }
        self.add_values(one.seq, one.time, one.features);
        if let Some(card) = one.card
            && floors.get(&day).is_none_or(|floor| one.score > *floor)
        {
            let top = || Top { score: one.score, seq: one.seq, id: one.id.into() };
            let tops = self.tops.entry(day).or_default();
            match tops.get_mut(&card) {
                None => drop(tops.insert(card, top())),
                Some(known) if one.score > known.score => *known = top(),
                Some(_) => {}
            }
        }
    }

    /// Adds the features of a transaction, if it is one of those whose features are counted.
    pub(crate) fn add_values(&mut self, seq: i64, time: Micros, features: &Features) {
        if seq % SAMPLED == 0 {
            let day = time.0.div_euclid(DAY) as i32;
            for (feature, value) in features.0.iter().enumerate() {
                *self.values.entry((day, feature as u16, value_cell(*value))).or_default() += 1;
            }
        }
    }

    /// Returns the cards with the greatest scores of each day, at most [`TOP_CARDS`] a day.
    pub(super) fn top_cards(&self) -> Vec<(i32, i64, &Top)> {
        let mut all = Vec::new();
        for (day, tops) in &self.tops {
            let mut cards: Vec<(i32, i64, &Top)> = tops.iter().map(|(card, top)| (*day, *card, top)).collect();
            cards.sort_by(|(_, _, one), (_, _, other)| {
                other.score.total_cmp(&one.score).then(one.seq.cmp(&other.seq))
            });
            cards.truncate(TOP_CARDS);
            all.extend(cards);
        }
        all
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
        let cells: Vec<_> = tally.scores.iter().map(|((day, _), count)| (*day, *count)).collect();
        assert_eq!(cells, [(-1, 1), (0, 1), (0, 1), (0, 1)]);
        assert_eq!(tally.values.values().sum::<i64>(), Features::default().0.len() as i64);
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
}
