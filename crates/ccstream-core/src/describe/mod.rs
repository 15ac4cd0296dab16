//! This module computes the shape of a stream of events for `ccstream produce --describe`, for generated events as well
//! as a replayed file. It is pure.
//!
//! It reads the payloads as they are sent, so the figures include the effects of the encoder or the file. Memory is
//! limited: names beyond the limits below are counted together.

mod amounts;
mod approvals;
mod names;
mod shape;
mod statistics;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use self::amounts::Amounts;
pub use self::amounts::{AmountsShape, LogNormal};
use self::approvals::Approvals;
use self::names::{Hashed, Names};
pub use self::shape::{ApprovedShape, CodeShape, NamesShape, Shape};
pub use self::statistics::ZipfFit;
use self::statistics::{gini, top_tenth, zipf};
use crate::datum::Datum;
use crate::event::{Micros, Transaction};
use crate::fields::Place;
use crate::record::Record;
use crate::status::is_approved;
use crate::validate::validate;

/// Maximum number of merchants that are counted separately.
pub const MAX_MERCHANTS: usize = 200_000;
/// Maximum number of cards that are counted separately.
pub const MAX_CARDS: usize = 1_000_000;
/// Maximum number of networks, of issuers and of response codes.
const MAX_LABELS: usize = 1_000;
/// Number of the most frequent merchants that are named.
const TOP: usize = 10;
/// The ranks whose frequencies are in the shape, for a chart. Each is 1, 2 or 5 times a power of ten.
const RANKS: [usize; 18] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000];

/// Computes the shape of a stream from its events, one after the other.
#[derive(Debug)]
pub struct Describer {
    events: u64,
    malformed: BTreeMap<&'static str, u64>,
    span: Option<(Micros, Micros)>,
    merchants: Names<String>,
    cards: Hashed,
    hours: [[u64; 24]; 7],
    refunds: u64,
    amounts: Amounts,
    /// Number of approved and declined events together, and of the approved ones.
    approved: (u64, u64),
    networks: Approvals,
    issuers: Approvals,
    codes: Names<String>,
    /// The field with the issuer. None if events have no such field.
    issuer: Option<Place>,
}

impl Default for Describer {
    fn default() -> Self {
        Self {
            events: 0,
            malformed: BTreeMap::new(),
            span: None,
            merchants: Names::new(MAX_MERCHANTS),
            cards: Hashed::new(MAX_CARDS),
            hours: [[0; 24]; 7],
            refunds: 0,
            amounts: Amounts::default(),
            approved: (0, 0),
            networks: Approvals::new(MAX_LABELS),
            issuers: Approvals::new(MAX_LABELS),
            codes: Names::new(MAX_LABELS),
            issuer: Place::all().find(|place| place.field().column == "issuer"),
        }
    }
}

impl Describer {
    /// Adds one event.
    ///
    /// ```
    /// use ccstream_core::describe::Describer;
    /// use ccstream_core::record::Record;
    /// let mut describer = Describer::default();
    /// let payload = br#"{"transaction_id":"a","amount":12.5,"timestamp":"2026-11-22T10:15:30Z","merchant":"Cafe"}"#;
    /// describer.add(&Record { payload: payload.to_vec(), ..Record::default() });
    /// let shape = describer.shape();
    /// assert_eq!((shape.events, shape.merchants.distinct), (1, 1));
    /// // 2026-11-22 is a Sunday.
    /// assert_eq!(shape.hours[6][10], 1);
    /// ```
    pub fn add(&mut self, record: &Record) {
        match validate(Some(&record.payload)) {
            Ok(transaction) => self.add_valid(&transaction),
            Err(rejection) => *self.malformed.entry(rejection.reason.as_str()).or_default() += 1,
        }
    }

    fn add_valid(&mut self, transaction: &Transaction<'_>) {
        self.events += 1;
        let moment = transaction.timestamp;
        self.span = Some(self.span.map_or((moment, moment), |(first, last)| (first.min(moment), last.max(moment))));
        let local = moment.to_utc();
        self.hours[local.weekday().to_monday_zero_offset() as usize][local.hour() as usize] += 1;
        self.refunds += u64::from(transaction.value.0 < 0);
        let text = |place| transaction.text(place);
        if let Some(merchant) = text(Place::MERCHANT) {
            self.merchants.add(merchant);
        }
        if let Some(card) = text(Place::CARD_TOKEN) {
            self.cards.add(card);
        }
        if let Some(code) = text(Place::RESPONSE_CODE) {
            self.codes.add(code);
        }
        let currency = text(Place::CURRENCY).unwrap_or_default().to_ascii_uppercase();
        self.amounts.add(&currency, text(Place::CATEGORY).unwrap_or_default(), transaction.value);
        let Some(is_approved) = text(Place::STATUS).and_then(is_approved) else { return };
        self.approved.0 += 1;
        self.approved.1 += u64::from(is_approved);
        if let Some(network) = text(Place::PAYMENT_METHOD) {
            self.networks.add(network, is_approved);
        }
        let issuer = self.issuer.and_then(|place| transaction.get(place));
        if let Some(Datum::Text(issuer)) = issuer {
            self.issuers.add(&Cow::into_owned(issuer), is_approved);
        }
    }

    /// Returns the shape of the events that were added.
    pub fn shape(&self) -> Shape {
        let coded: u64 = self.codes.ranked().iter().sum();
        let code = |(code, count)| CodeShape { code, count, share: count as f64 / coded as f64 };
        Shape {
            events: self.events,
            malformed: self.malformed.clone(),
            first: self.span.map(|(first, _)| first.0),
            last: self.span.map(|(_, last)| last.0),
            merchants: names_shape(&self.merchants, MAX_MERCHANTS, self.merchants.most_frequent(TOP)),
            cards: names_shape(self.cards.names(), MAX_CARDS, Vec::new()),
            hours: self.hours,
            refunds: (self.events > 0).then(|| self.refunds as f64 / self.events as f64),
            amounts: self.amounts.shape(),
            approved: (self.approved.0 > 0).then(|| ApprovedShape::of("", self.approved)),
            by_network: self.networks.shape(),
            by_issuer: self.issuers.shape(),
            response_codes: self.codes.most_frequent(MAX_LABELS).into_iter().map(code).collect(),
        }
    }
}

fn names_shape<K: std::hash::Hash + Eq + Ord + Clone>(
    names: &Names<K>,
    limit: usize,
    top: Vec<(String, u64)>,
) -> NamesShape {
    let counts = names.ranked();
    NamesShape {
        distinct: names.distinct(),
        events: counts.iter().sum::<u64>() + names.others(),
        limit,
        beyond_limit: names.others(),
        top_tenth_share: top_tenth(&counts),
        gini: gini(&counts),
        zipf: zipf(&counts),
        ranks: RANKS.iter().filter_map(|rank| Some((*rank, *counts.get(rank - 1)?))).collect(),
        top,
    }
}
