//! Writes payments as messages. Most of a message's JSON is ready-made: a shop's part is written once, not with each
//! payment.
//!
//! Every message has the same fields in the same order, and the same length. Only the values of its fields can tell one
//! kind of payment from another.

use super::calendar::{MINUTE, SECOND};
use super::cards::{ISSUERS, NETWORKS};
use super::categories::CATEGORIES;
use super::cities::CITIES;
use super::declines::{ANSWERS, Answer};
use super::merchants::{Shop, Shops};
use super::payment::{ENTRY_MODES, Payment};
use crate::json::{push_hundredths, push_text, push_timestamp};
use crate::record::Record;
use crate::units::Micros;

/// The topic that a message is sent to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The topic of transactions.
    #[default]
    Orders,
    /// The topic of labels, which say later that a transaction is a fraud.
    Labels,
    /// The topic of the truth about what the generator planted.
    Truth,
}

impl Topic {
    /// All topics, each at the place of its number.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Labels, Self::Truth];
}

/// A message and the time at which it is due.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it is sent.
    pub topic: Topic,
    /// The time of its event.
    pub due: Micros,
    /// Its key, which is the card's token for a transaction, and its payload.
    pub record: Record,
}

/// The JSON before a shop's part, with placeholders for what differs.
const HEAD: &[u8] = b"{\"transaction_id\":\"00000000-0000-0000-0000-000000000000\",\
    \"timestamp\":\"0000-00-00T00:00:00.000000Z\",\"card_token\":\"tok_aaaaaaaaaaaaaaaa\",\"card_last4\":\"0000\"";
const ID: usize = "{'transaction_id':'".len();
const TIME: usize = ID + 36 + "','timestamp':'".len();
const TOKEN: usize = TIME + 27 + "','card_token':'tok_".len();
const LAST4: usize = TOKEN + 16 + "','card_last4':'".len();
/// The length of a timestamp before its seconds.
const MINUTES: usize = "2026-11-22T10:15:".len();

/// Writes payments.
#[derive(Debug)]
pub(super) struct Writer {
    head: Vec<u8>,
    /// The JSON from the merchant to the key of the amount, by shop.
    shops: Vec<Box<[u8]>>,
    /// The JSON of the network, by network. The next three fields are alike.
    networks: Vec<String>,
    entry_modes: Vec<String>,
    answers: Vec<String>,
    issuers: Vec<String>,
    length: usize,
    /// The minute that is in the head.
    minute: i64,
}

impl Writer {
    pub(super) fn new(shops: &Shops) -> Self {
        let shops: Vec<Box<[u8]>> = shops.all.iter().map(shop_part).collect();
        let networks: Vec<String> = NETWORKS.iter().map(|one| format!(",\"payment_method\":\"{}\"", one.0)).collect();
        let entry_modes: Vec<String> = ENTRY_MODES.iter().map(|mode| format!(",\"entry_mode\":\"{mode}\"")).collect();
        let answer = |one: &Answer| format!(",\"status\":\"{}\",\"response_code\":\"{}\"", one.status(), one.code());
        let answers: Vec<String> = ANSWERS.iter().map(answer).collect();
        let issuers: Vec<String> = ISSUERS.iter().map(|issuer| format!(",\"issuer\":\"{issuer}\"")).collect();
        let fixed = "-99999999.99,'currency':'EUR','discount':0.30,'risk_flag':false,'terminal_id':'US001000'}".len();
        let longest = |parts: &[String]| parts.iter().map(String::len).max().unwrap_or(0);
        let texts = [&networks, &entry_modes, &answers, &issuers].into_iter().map(|parts| longest(parts));
        let shop = shops.iter().map(|part| part.len()).max().unwrap_or(0);
        let length = HEAD.len() + shop + fixed + texts.sum::<usize>();
        Self { head: HEAD.to_vec(), shops, networks, entry_modes, answers, issuers, length, minute: i64::MIN }
    }

    /// Writes a payment's key and payload.
    pub(super) fn write(&mut self, shops: &Shops, payment: &Payment, id: &[u8; 36], time: Micros, out: &mut Record) {
        let card = &payment.card;
        let key = out.key.get_or_insert_default();
        key.clear();
        key.extend_from_slice(b"tok_");
        key.extend_from_slice(&card.token);
        self.head[ID..ID + 36].copy_from_slice(id);
        self.head[TOKEN..TOKEN + 16].copy_from_slice(&card.token);
        self.head[LAST4..LAST4 + 4].copy_from_slice(&card.last4);
        self.set_time(time);
        let payload = &mut out.payload;
        payload.clear();
        payload.reserve(self.length);
        payload.extend_from_slice(&self.head);
        payload.extend_from_slice(&self.shops[payment.shop as usize]);
        push_hundredths(payment.value.0, payload);
        push(payload, &[b",\"currency\":\"", payment.country().currency.as_bytes(), b"\",\"discount\":"]);
        push_hundredths(payment.discount.into(), payload);
        payload.extend_from_slice(self.networks[usize::from(card.network)].as_bytes());
        payload.extend_from_slice(self.entry_modes[usize::from(payment.entry_mode)].as_bytes());
        payload.extend_from_slice(self.answers[payment.answer as usize].as_bytes());
        payload.extend_from_slice(if payment.is_risky { b",\"risk_flag\":true" } else { b",\"risk_flag\":false" });
        let terminal = shops.all[payment.shop as usize].terminal(payment.terminal);
        push(payload, &[b",\"terminal_id\":\"", &terminal, b"\""]);
        payload.extend_from_slice(self.issuers[usize::from(card.issuer)].as_bytes());
        payload.resize(self.length - 1, b' ');
        payload.push(b'}');
    }

    /// Writes a time into the head. The part before the seconds is written once a minute.
    fn set_time(&mut self, time: Micros) {
        let minute = time.0.div_euclid(MINUTE);
        let stamp = &mut self.head[TIME..TIME + 26];
        if self.minute != minute {
            let mut text = Vec::with_capacity(32);
            push_timestamp(Micros(minute * MINUTE), &mut text);
            stamp[..MINUTES].copy_from_slice(&text[1..=MINUTES]);
            self.minute = minute;
        }
        let micros = time.0.rem_euclid(MINUTE);
        let (second, mut fraction) = ((micros / SECOND) as u8, (micros % SECOND) as u32);
        stamp[MINUTES] = b'0' + second / 10;
        stamp[MINUTES + 1] = b'0' + second % 10;
        for digit in stamp[MINUTES + 3..].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
    }
}

fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The JSON of a shop: `,"merchant":"...", ... ,"longitude":...,"amount":`.
fn shop_part(shop: &Shop) -> Box<[u8]> {
    let category = &CATEGORIES[usize::from(shop.category)];
    let city = &CITIES[usize::from(shop.city)];
    let (latitude, longitude) = shop.coordinates();
    let mut part = Vec::with_capacity(256);
    for (key, text) in [
        ("merchant", shop.name.as_str()),
        ("mcc", category.mcc),
        ("category", category.name),
        ("location", city.name),
        ("country", city.country.code),
    ] {
        push(&mut part, &[b",\"", key.as_bytes(), b"\":"]);
        push_text(text, &mut part);
    }
    for (key, degrees) in [("latitude", latitude), ("longitude", longitude)] {
        push(&mut part, &[b",\"", key.as_bytes(), b"\":"]);
        serde_json::to_writer(&mut part, &degrees).expect("writing to memory");
    }
    push(&mut part, &[b",\"amount\":"]);
    part.into_boxed_slice()
}
