//! Rows that are gone: as old rows are, or otherwise.

use super::*;
use crate::operate::verify::{VerifyReport, verify};

/// A minute's events, two of them.
fn minute(at: i64) -> [Event<'static>; 2] {
    ["x", "y"].map(|which| Event::new(format!("{at}-{which}"), Micros(at * 60_000_000 + 5), Cents(100)))
}

fn verified_after(change: &str) -> Option<VerifyReport> {
    let sandbox = Sandbox::new()?;
    let (mut store, positions) = sandbox.ready();
    sandbox.write(&mut store, &mut batch_at(&positions, (0..10).flat_map(minute)));
    sandbox.execute(change);
    Some(verify(&sandbox.url, &Tables::default(), false).unwrap())
}

#[test]
fn old_rows_that_were_deleted_are_said_and_are_no_problem() {
    let Some(report) = verified_after("DELETE FROM orders WHERE timestamp < '1970-01-01 00:03'") else { return };
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.expired_rows, report.expired_before), (6, Some(180_000_000)));
    assert_eq!(report.cells, 7);
}

#[test]
fn other_rows_that_are_gone_are_counted_by_minute() {
    for (change, part) in [
        ("DELETE FROM orders WHERE order_id = '0-x'", "1 rows that were stored are not in orders: of 1 minutes"),
        ("DELETE FROM orders WHERE order_id IN ('3-x', '3-y', '7-x')", "of 2 minutes, the first 1970-01-01 00:03:00"),
        ("DELETE FROM orders WHERE timestamp < '1970-01-01 00:03' OR order_id = '5-x'", "7 rows"),
        ("DELETE FROM orders", "20 rows that were stored are not in orders: of 10 minutes"),
    ] {
        let Some(report) = verified_after(change) else { return };
        assert_eq!(report.expired_rows, 0, "{change}");
        assert!(report.problems.iter().any(|problem| problem.contains(part)), "{change}: {:?}", report.problems);
    }
}

#[test]
fn a_total_of_an_old_minute_that_nobody_stored_is_a_problem() {
    let add = "INSERT INTO kpi_minute VALUES ('1960-01-01', '', '', 0, 1, 1, 1, 1)";
    let Some(report) = verified_after(add) else { return };
    assert_eq!(report.expired_rows, 0);
    assert!(report.problems[0].starts_with("kpi_minute differs in 1 cells"), "{:?}", report.problems);
}
