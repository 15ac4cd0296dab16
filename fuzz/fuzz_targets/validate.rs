//! Checks that any bytes are either a transaction within its limits, or a rejection without a card number.

#![no_main]

use ccstream_core::card_number;
use ccstream_core::codec::Encoder;
use ccstream_core::datum::Datum;
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;
use ccstream_core::sql_type::SqlType;
use ccstream_core::validate::validate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| match validate(Some(payload)) {
    Ok(transaction) => {
        check_limits(&transaction);
        // A transaction that is written and read again is unchanged.
        let mut again = Vec::new();
        Encoder::new().encode(&transaction, &mut again);
        assert_eq!(validate(Some(&again)).expect("a written transaction is valid"), transaction);
    }
    Err(rejection) => {
        assert!(!rejection.detail.is_empty());
        assert!(!card_number::is_in(&rejection.detail), "{}", rejection.detail);
    }
});

/// The values are within the limits in the list of fields, so the columns of `orders` can hold them.
fn check_limits(transaction: &Transaction<'_>) {
    assert!(transaction.value.0.abs() <= Cents::MAX.0);
    assert!((0..Micros::END.0).contains(&transaction.timestamp.0));
    for place in Place::all() {
        let field = place.field();
        let Some(value) = transaction.get(place) else {
            assert!(!field.required, "{}", field.key);
            continue;
        };
        match (field.sql_type, value) {
            (SqlType::Id(chars) | SqlType::Text(chars), Datum::Text(text)) => {
                assert!(text.chars().count() <= chars, "{}", field.key);
                assert!(!text.contains('\0'), "{}", field.key);
                assert!(!(field.not_empty && text.is_empty()), "{}", field.key);
            }
            (SqlType::Cents, Datum::Cents(cents)) => assert!(cents.0.abs() <= Cents::MAX.0),
            (SqlType::Share, Datum::Share(share)) => assert!(share <= 100),
            (SqlType::Instant, Datum::Instant(instant)) => assert!((0..Micros::END.0).contains(&instant.0)),
            (SqlType::Degrees(limit), Datum::Real(degrees)) => assert!(degrees.abs() <= limit),
            (SqlType::Score, Datum::Real(score)) => assert!((0.0..=1.0).contains(&score)),
            (SqlType::Flag, Datum::Flag(_)) => {}
            (wanted, value) => panic!("{}: {value:?} is no {wanted:?}", field.key),
        }
    }
}
