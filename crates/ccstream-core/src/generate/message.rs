//! A payment as a message. Most of its JSON is ready: a shop's part is written once, not with each payment.
//!
//! Every message has the same fields in the same order, and the same length: nothing but the values of fields can tell
//! one kind of payment from another.

use super::calendar::{MINUTE, SECOND};
use super::cards::{ISSUERS, NETWORKS};
use super::categories::CATEGORIES;
use super::cities::CITIES;
use super::merchants::{Shop, Shops};
use super::payment::{ENTRY_MODES, Payment};
use crate::json::{push_hundredths, push_text, push_timestamp};
use crate::record::Record;
use crate::units::Micros;

/// A message, and when it is due.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message {
    /// The time of its event.
    pub due: Micros,
    /// Its key, the card's token, and its payload.
    pub record: Record,
}

/// Writes payments.
#[derive(Debug)]
pub(super) struct Writer {
    /// By shop: from the merchant to the key of the amount.
    shops: Vec<Box<[u8]>>,
    length: usize,
    /// The minute of the last message, and its text up to the seconds.
    minute: i64,
    stamp: [u8; 18],
}

impl Writer {
    pub(super) fn new(shops: &Shops) -> Self {
        let parts: Vec<Box<[u8]>> = shops.all.iter().map(shop_part).collect();
        let longest = parts.iter().map(|part| part.len()).max().unwrap_or(0);
        Self { length: HEAD + longest + longest_rest(), shops: parts, minute: i64::MIN, stamp: [0; 18] }
    }

    /// Writes a payment's key and payload.
    pub(super) fn write(&mut self, shops: &Shops, payment: &Payment, id: &str, time: Micros, out: &mut Record) {
        let card = &payment.card;
        let key = out.key.get_or_insert_default();
        key.clear();
        key.extend_from_slice(b"tok_");
        key.extend_from_slice(&card.token);
        let payload = &mut out.payload;
        payload.clear();
        payload.reserve(self.length);
        push(payload, &[b"{\"transaction_id\":\"", id.as_bytes(), b"\",\"timestamp\":"]);
        self.push_time(time, payload);
        push(payload, &[b",\"card_token\":\"tok_", &card.token, b"\",\"card_last4\":\"", &card.last4, b"\""]);
        payload.extend_from_slice(&self.shops[payment.shop as usize]);
        push_hundredths(payment.value.0, payload);
        push(payload, &[b",\"currency\":\"", payment.country().currency.as_bytes(), b"\",\"discount\":"]);
        push_hundredths(payment.discount.into(), payload);
        let (network, issuer) = (NETWORKS[usize::from(card.network)].0, ISSUERS[usize::from(card.issuer)]);
        push(payload, &[b",\"payment_method\":\"", network.as_bytes()]);
        push(payload, &[b"\",\"entry_mode\":\"", ENTRY_MODES[usize::from(payment.entry_mode)].as_bytes()]);
        push(payload, &[b"\",\"status\":\"", payment.answer.status().as_bytes()]);
        push(payload, &[b"\",\"response_code\":\"", payment.answer.code().as_bytes(), b"\",\"risk_flag\":"]);
        payload.extend_from_slice(if payment.is_risky { b"true" } else { b"false" });
        let terminal = shops.all[payment.shop as usize].terminal(payment.terminal);
        push(payload, &[b",\"terminal_id\":\"", &terminal, b"\",\"issuer\":\"", issuer.as_bytes(), b"\""]);
        payload.resize(self.length - 1, b' ');
        payload.push(b'}');
    }

    /// Appends a time as JSON; the date is written out once a minute.
    fn push_time(&mut self, time: Micros, out: &mut Vec<u8>) {
        let minute = time.0.div_euclid(MINUTE);
        if self.minute != minute {
            let mut text = Vec::with_capacity(32);
            push_timestamp(Micros(minute * MINUTE), &mut text);
            self.stamp.copy_from_slice(&text[..18]);
            self.minute = minute;
        }
        let micros = time.0.rem_euclid(MINUTE);
        let (second, mut fraction) = ((micros / SECOND) as u8, (micros % SECOND) as u32);
        let mut rest = *b"00.000000Z\"";
        rest[0] += second / 10;
        rest[1] += second % 10;
        for digit in rest[3..9].iter_mut().rev() {
            *digit += (fraction % 10) as u8;
            fraction /= 10;
        }
        push(out, &[&self.stamp, &rest]);
    }
}

/// The length of what precedes a shop's part.
const HEAD: usize = "{'transaction_id':'','timestamp':'','card_token':'tok_','card_last4':''".len() + 36 + 27 + 16 + 4;

/// The greatest length of what follows it: the amount, the currency and so on, and the closing brace.
fn longest_rest() -> usize {
    let keys = ",'currency':'','discount':,'payment_method':'','entry_mode':'','status':'','response_code':'',\
                'risk_flag':,'terminal_id':'','issuer':''}";
    let longest = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::len).max().unwrap_or(0);
    let fixed = ["-99999999.99", "EUR", "0.30", "declined", "00", "false", "US001000"];
    keys.len()
        + fixed.map(str::len).iter().sum::<usize>()
        + longest(&mut NETWORKS.iter().map(|network| network.0))
        + longest(&mut ENTRY_MODES.into_iter())
        + longest(&mut ISSUERS.into_iter())
}

fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// `,"merchant":"...", ... ,"longitude":...,"amount":`
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
