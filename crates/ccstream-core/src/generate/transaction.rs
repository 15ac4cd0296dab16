//! Makes transactions of payments, for callers that need fields and not bytes.

use std::borrow::Cow;

use super::cards::{ISSUERS, NETWORKS};
use super::categories::CATEGORIES;
use super::cities::CITIES;
use super::merchants::Shops;
use super::payment::{ENTRY_MODES, Payment};
use crate::datum::Datum;
use crate::event::{Micros, Transaction};
use crate::fields::Place;

/// Makes the transaction of a payment.
pub(super) fn transaction<'g>(shops: &'g Shops, payment: &Payment, id: Cow<'g, str>, time: Micros) -> Transaction<'g> {
    let shop = &shops.all[payment.shop as usize];
    let category = &CATEGORIES[usize::from(shop.category)];
    let city = &CITIES[usize::from(shop.city)];
    let (latitude, longitude) = shop.coordinates();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut transaction = Transaction::new(id, time, payment.value);
    for (place, value) in [
        (Place::DISCOUNT, Datum::Share(payment.discount)),
        (Place::RISK_FLAG, Datum::Flag(payment.is_risky)),
        (Place::LATITUDE, Datum::Real(latitude)),
        (Place::LONGITUDE, Datum::Real(longitude)),
        (Place::CARD_TOKEN, Datum::Text(format!("tok_{}", text(&payment.card.token)).into())),
        (Place::CARD_LAST4, Datum::Text(text(&payment.card.last4).into())),
        (Place::TERMINAL_ID, Datum::Text(text(&shop.terminal(payment.terminal)).into())),
    ] {
        transaction.set(place, value);
    }
    for (place, text) in [
        (Place::STATUS, payment.answer.status()),
        (Place::CATEGORY, category.name),
        (Place::CITY, city.name),
        (Place::PAYMENT_METHOD, NETWORKS[usize::from(payment.card.network)].0),
        (Place::MERCHANT, shop.name.as_str()),
        (Place::MCC, category.mcc),
        (Place::COUNTRY, city.country.code),
        (Place::CURRENCY, payment.country().currency),
        (Place::ENTRY_MODE, ENTRY_MODES[usize::from(payment.entry_mode)]),
        (Place::RESPONSE_CODE, payment.answer.code()),
        (Place::ISSUER, ISSUERS[usize::from(payment.card.issuer)]),
    ] {
        transaction.set(place, Datum::Text(text.into()));
    }
    transaction
}
