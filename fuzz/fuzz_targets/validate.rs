//! Any bytes: exactly one of valid or rejected, and each keeps what is promised of it.

#![no_main]

use ccstream_core::card_number;
use ccstream_core::codec::Encoder;
use ccstream_core::event::{Cents, FIELDS, Kind, Micros, Transaction};
use ccstream_core::validate::validate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| match validate(Some(payload)) {
    Ok(transaction) => {
        check_limits(&transaction);
        // Written by us and read again it is the same.
        let mut again = Vec::new();
        Encoder::new().encode(&transaction, &mut again);
        assert_eq!(validate(Some(&again)).expect("we wrote it"), transaction);
    }
    Err(rejection) => {
        assert!(!rejection.detail.is_empty());
        assert!(!card_number::is_in(&rejection.detail), "{}", rejection.detail);
    }
});

/// What the columns of `orders` hold, told from the table of fields.
fn check_limits(transaction: &Transaction<'_>) {
    assert!(transaction.value.0.abs() <= Cents::MAX.0);
    assert!((0..Micros::END.0).contains(&transaction.timestamp.0));
    assert!(transaction.discount.is_none_or(|discount| discount <= 100));
    assert!(transaction.latitude.is_none_or(|degrees| degrees.abs() <= 90.0));
    assert!(transaction.longitude.is_none_or(|degrees| degrees.abs() <= 180.0));
    for field in &FIELDS {
        let text = match field.kind {
            Kind::Id => Some(&*transaction.order_id),
            Kind::Text(text) => transaction.text(text),
            _ => None,
        };
        let Some(text) = text else { continue };
        assert!(text.chars().count() <= field.max_chars, "{}", field.key);
        assert!(!text.contains('\0'), "{}", field.key);
        assert!(!(field.not_empty && text.is_empty()), "{}", field.key);
    }
}
