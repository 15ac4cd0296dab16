//! Holds what windows need of a transaction. Only the attributes that some window uses are taken from it.

use std::sync::Arc;

use ccstream_core::currency::Currency;
use ccstream_core::datum::Datum;
use ccstream_core::event::Transaction;
use ccstream_core::fields::Place;
use ccstream_core::status::is_approved;

use crate::attribute::Attribute;
use crate::key::{self, Key};
use crate::segments::Segments;

/// The number of bytes of a key.
const KEY: usize = size_of::<Key>();
/// The number of bytes of the length of a value.
const LENGTH: usize = size_of::<u16>();
/// The length of a value that is absent.
const ABSENT: u16 = u16::MAX;
/// The key of a value that is absent.
const ABSENT_KEY: Key = 0x51ab_5e17;

/// Lists the attributes that some window uses as a dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Attribute>);

impl Fields {
    /// Adds attributes after those that are there. Returns whether there were new ones.
    pub fn add<A: Copy + Into<Attribute>>(&mut self, attributes: &[A]) -> bool {
        let before = self.0.len();
        for attribute in attributes.iter().map(|one| (*one).into()) {
            if !self.0.contains(&attribute) {
                self.0.push(attribute);
            }
        }
        self.0.len() > before
    }

    /// Lists the attributes.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0
    }

    /// Returns the number of an attribute; None if it is not there.
    pub fn number(&self, attribute: Attribute) -> Option<usize> {
        self.0.iter().position(|other| *other == attribute)
    }

    /// Returns what windows need of a transaction. It has no segment until one is assigned.
    pub fn facts(&self, transaction: &Transaction<'_>) -> Facts {
        let is_used = self.0.contains(&Place::CURRENCY.into());
        let currency = transaction.text(Place::CURRENCY).filter(|_| is_used).and_then(Currency::read);
        // As in all that ccstream counts: `eur` and `EUR` are one currency, and their amounts can be added.
        let currency = currency.as_ref().map(Currency::as_str);
        let text = |attribute: &Attribute| match attribute {
            Attribute::Segment => None,
            Attribute::Field(Place::CURRENCY) => currency,
            Attribute::Field(place) => match transaction.flag(*place) {
                Some(flag) => Some(if flag { "true" } else { "false" }),
                None => transaction.text(*place),
            },
        };
        let size = |attribute| KEY + LENGTH + text(attribute).map_or(0, str::len);
        let mut data = Vec::with_capacity(self.0.iter().map(size).sum());
        for attribute in &self.0 {
            data.extend_from_slice(&text(attribute).map_or(ABSENT_KEY, key::of).to_le_bytes());
        }
        for attribute in &self.0 {
            push(text(attribute), &mut data);
        }
        let merchant = || transaction.text(Place::MERCHANT).map(key::of);
        Facts {
            cents: transaction.value.0,
            approved: transaction.text(Place::STATUS).and_then(is_approved),
            card: transaction.text(Place::CARD_TOKEN).map(key::of),
            attributes: self.0.len(),
            data: data.into(),
            segment: self.number(Attribute::Segment).map(|number| Segment { number, merchant: merchant(), name: None }),
        }
    }

    /// Returns the value of a field from a text of PostgreSQL, as [`facts`](Self::facts) would see it.
    pub fn datum(place: Place, text: &str) -> Datum<'_> {
        match place {
            Place::RISK_FLAG => Datum::Flag(text == "true"),
            _ => Datum::Text(text.into()),
        }
    }
}

/// Holds what windows need of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The amount in hundredths.
    pub(super) cents: i64,
    /// Whether it was approved; None if it was neither approved nor declined.
    pub(super) approved: Option<bool>,
    /// The key of the card's token.
    pub(super) card: Option<Key>,
    /// The number of attributes.
    attributes: usize,
    /// The keys of the values of the attributes, and then the values, each with its length. That of the segment is
    /// absent. All share one piece of memory, because every transaction allocates it.
    data: Box<[u8]>,
    /// None if the segment is not among the attributes.
    segment: Option<Segment>,
}

/// What is known of the segment of a transaction's merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    /// The number among the attributes.
    number: usize,
    /// The key of the merchant.
    merchant: Option<Key>,
    name: Option<Arc<str>>,
}

impl Facts {
    /// Assigns the segment of the merchant, if the segment is among the attributes. A transaction is read ahead of its
    /// turn, and the segments may change until then.
    pub fn assign(&mut self, segments: &Segments) {
        let Some(Segment { number, merchant: Some(merchant), name }) = &mut self.segment else { return };
        if let Some((found, key)) = segments.find(*merchant) {
            self.data[*number * KEY..][..KEY].copy_from_slice(&key.to_le_bytes());
            *name = Some(Arc::clone(found));
        }
    }

    /// Assigns a segment by its name, if the segment is among the attributes.
    pub fn assign_name(&mut self, found: &str) {
        if let Some(Segment { number, name, .. }) = &mut self.segment {
            self.data[*number * KEY..][..KEY].copy_from_slice(&key::of(found).to_le_bytes());
            *name = Some(found.into());
        }
    }

    /// Returns the amount in hundredths.
    pub(crate) fn cents(&self) -> i64 {
        self.cents
    }

    /// Returns whether it was approved; None if it was neither approved nor declined.
    pub(crate) fn approved(&self) -> Option<bool> {
        self.approved
    }

    /// Returns the key of the value of an attribute; None if it is absent.
    pub(crate) fn one(&self, number: usize) -> Option<Key> {
        self.keys().get(number).map(|key| Key::from_le_bytes(*key)).filter(|key| *key != ABSENT_KEY)
    }

    /// Returns the keys of the values of all attributes, as bytes.
    fn keys(&self) -> &[[u8; KEY]] {
        self.data.split_at(self.attributes * KEY).0.as_chunks().0
    }

    /// Returns the value of an attribute; None if it is absent.
    pub(crate) fn text(&self, number: usize) -> Option<&str> {
        self.values().nth(number).flatten()
    }

    /// Returns the values of all attributes, in the order of [`Fields::attributes`].
    pub fn values(&self) -> impl Iterator<Item = Option<&str>> {
        let segment = self.segment.as_ref().map(|segment| (segment.number, segment.name.as_deref()));
        texts(&self.data[self.attributes * KEY..]).enumerate().map(move |(at, text)| match segment {
            Some((number, name)) if number == at => name,
            _ => text,
        })
    }

    /// Returns the key of the values of the attributes of these numbers.
    pub(super) fn key(&self, dimensions: &[usize]) -> Key {
        let keys = self.keys();
        dimensions.iter().fold(0, |key, dimension| key::pair(key, Key::from_le_bytes(keys[*dimension])))
    }

    /// Returns the values of the attributes of these numbers, in the form in which they are kept.
    pub(super) fn kept(&self, dimensions: &[usize]) -> Box<[u8]> {
        let all: Vec<Option<&str>> = self.values().collect();
        let mut out = Vec::new();
        for dimension in dimensions {
            push(all[*dimension], &mut out);
        }
        out.into()
    }
}

fn push(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => {
            // A text of a field has at most 200 characters, and the name of a segment less.
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        None => out.extend_from_slice(&ABSENT.to_le_bytes()),
    }
}

/// Returns the values of dimensions that are kept.
pub(super) fn texts(mut kept: &[u8]) -> impl Iterator<Item = Option<&str>> {
    std::iter::from_fn(move || {
        let (length, rest) = kept.split_first_chunk()?;
        let length = u16::from_le_bytes(*length);
        if length == ABSENT {
            kept = rest;
            return Some(None);
        }
        let (text, rest) = rest.split_at_checked(length.into())?;
        kept = rest;
        Some(str::from_utf8(text).ok())
    })
}
