//! Tests of `verify` with rows that are gone from `orders`, whether they have expired or not.

use super::*;
use crate::operate::verify::{VerifyReport, verify};

/// Returns two events of one minute.
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
fn expired_rows_are_counted_and_are_no_problem() {
    let Some(report) = verified_after("DELETE FROM orders WHERE timestamp < '1970-01-01 00:03'") else { return };
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.expired_rows, report.expired_before), (6, Some(180_000_000)));
    assert_eq!(report.cells, 7);
}

#[test]
fn other_missing_rows_are_a_problem_with_their_minutes() {
    for (change, parts) in [
        ("DELETE FROM orders WHERE order_id = '0-x'", "1 rows, 1 minutes, 1970-01-01 00:00:00"),
        ("DELETE FROM orders WHERE order_id IN ('3-x', '3-y', '7-x')", "3 rows, 2 minutes, 1970-01-01 00:03:00"),
        (
            "DELETE FROM orders WHERE timestamp < '1970-01-01 00:03' OR order_id = '5-x'",
            "7 rows, 4 minutes, 1970-01-01 00:00:00",
        ),
        ("DELETE FROM orders", "20 rows, 10 minutes, 1970-01-01 00:00:00"),
    ] {
        let Some(report) = verified_after(change) else { return };
        assert_eq!(report.expired_rows, 0, "{change}");
        let has_all = |problem: &String| parts.split(", ").all(|part| problem.contains(part));
        assert!(report.problems.iter().any(has_all), "{change}: {:?}", report.problems);
    }
}

#[test]
fn a_total_of_an_old_minute_without_stored_rows_is_a_problem() {
    let add = "INSERT INTO kpi_minute VALUES ('1960-01-01', '', '', 0, 1, 1, 1, 1)";
    let Some(report) = verified_after(add) else { return };
    assert_eq!(report.expired_rows, 0);
    let problem = &report.problems[0];
    assert!(problem.starts_with("kpi_minute") && problem.contains("1 cells"), "{problem}");
}
