//! Tests of `kpi_minute` with arbitrary currencies and statuses.

use super::*;
use ccstream_core::fields::Place;

const CELLS: &str = "SELECT count(*) FROM kpi_minute WHERE minute = '1970-01-01 00:01'";
const OTHERS: &str =
    "SELECT coalesce(sum(count), 0)::bigint FROM kpi_minute WHERE currency = '' AND status = '(others)'";

/// Returns events of one minute with the statuses from `from` to `to`, each `times` times.
fn events(from: usize, to: usize, times: usize) -> impl Iterator<Item = Event<'static>> {
    (from..to).flat_map(move |status| {
        (0..times).map(move |time| {
            let id: &'static str = Box::leak(format!("{status}-{time}").into_boxed_str());
            event(id).with(Place::CURRENCY, "USD").with(Place::STATUS, format!("status {status}"))
        })
    })
}

#[test]
fn a_minute_has_at_most_64_cells_and_one_is_for_the_rest() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    // The most frequent statuses of a batch get cells: here 60 with two rows, and some of 300 with one row.
    let batch = events(0, 60, 2).chain(events(1_000, 1_300, 1));
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, batch));
    assert_eq!((sandbox.number(CELLS), sandbox.number(OTHERS)), (64, 297));
    assert_eq!(sandbox.number("SELECT count(*) FROM kpi_minute WHERE count = 2"), 60);
    sandbox.verify();
    // A pair with a cell is added to it. No other pair gets one now, however frequent it is.
    let again = (0..10).map(|n| event(Box::leak(format!("again {n}").into_boxed_str())));
    let again = again.map(|event| event.with(Place::CURRENCY, "usd").with(Place::STATUS, "status 3"));
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, again.chain(events(2_000, 2_001, 50))));
    assert_eq!((sandbox.number(CELLS), sandbox.number(OTHERS)), (64, 347));
    assert_eq!(sandbox.number("SELECT count FROM kpi_minute WHERE status = 'status 3'"), 12);
    sandbox.verify();
    // Another minute has separate cells.
    let later = Event::new("later", Micros(120_000_000), Cents(1)).with(Place::STATUS, "status 5000");
    sandbox.write(&mut store, &mut batch_at(&positions, [later]));
    assert_eq!(sandbox.number("SELECT count(*) FROM kpi_minute"), 65);
    sandbox.verify();
    sandbox.execute("UPDATE kpi_minute SET count = count + 1 WHERE status = '(others)'");
    assert_eq!(crate::operate::verify::verify(&sandbox.url, &Tables::default(), false).unwrap().problems.len(), 1);
}

#[test]
fn currencies_are_compared_without_case_and_invalid_ones_are_empty() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let sent = ["eur", "EUR", "Eur", "€€€", "12$", "US", "ÄÖÜ"];
    let events =
        sent.iter().zip(["a", "b", "c", "d", "e", "f", "g"]).map(|(sent, id)| event(id).with(Place::CURRENCY, *sent));
    sandbox.write(&mut store, &mut batch_at(&positions, events));
    assert_eq!(sandbox.number("SELECT count FROM kpi_minute WHERE currency = 'EUR'"), 3);
    assert_eq!(sandbox.number("SELECT count FROM kpi_minute WHERE currency = ''"), 4);
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE currency = 'eur'"), 1, "orders has it as it was sent");
    sandbox.verify();
}
