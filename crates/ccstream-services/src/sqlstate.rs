//! Maps PostgreSQL's error codes (SQLSTATEs) to what happens to a batch. A test compares the table with the one in the
//! documentation.

use std::fmt;

/// What ccstream does about an error of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Waiting can help. Fetching is paused, and the same batch is written again until it succeeds.
    Wait,
    /// A row of the batch is to blame. Only that row becomes a dead letter, with PostgreSQL's reason.
    Reject,
    /// Waiting cannot help. The program ends. Nothing of the batch is stored, and the next run reads it again.
    Stop,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "waits",
            Self::Reject => "rejects the row",
            Self::Stop => "stops",
        })
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Entry {
    /// SQLSTATEs, or their classes, which are the first two characters.
    pub states: &'static [&'static str],
    /// What the SQLSTATEs mean.
    pub meaning: &'static str,
    /// What ccstream does.
    pub verdict: Verdict,
    /// What the user has to do; empty if nothing.
    pub cure: &'static str,
}

const fn entry(states: &'static [&'static str], meaning: &'static str, verdict: Verdict, cure: &'static str) -> Entry {
    Entry { states, meaning, verdict, cure }
}

/// Lists the verdicts. A SQLSTATE has the verdict of the first line that names it or its class, and [`Verdict::Stop`]
/// if no line does. Appendix A of PostgreSQL's manual describes the codes.
pub const TABLE: &[Entry] = &[
    entry(&["22", "23"], "data exception, violated constraint", Verdict::Reject, "`ccstream rejected --show`"),
    entry(&["08"], "the connection failed", Verdict::Wait, "start PostgreSQL, check the network"),
    entry(
        &["25006"],
        "a read-only server or database",
        Verdict::Wait,
        "promote the standby; `default_transaction_read_only = off`",
    ),
    entry(&["25P03", "25P04"], "a transaction was idle, or ran, for too long", Verdict::Wait, ""),
    entry(&["40"], "serialization failure, deadlock", Verdict::Wait, ""),
    entry(&["53"], "out of disk space, memory or connections", Verdict::Wait, "free some"),
    entry(&["55P03"], "a lock was not available within 5 s", Verdict::Wait, "end the session that holds it"),
    entry(&["57P04", "3D"], "the database does not exist", Verdict::Stop, "create it, or name another in the URL"),
    entry(&["57"], "shutdown, start-up, a canceled query", Verdict::Wait, "start PostgreSQL"),
    entry(&["58"], "an error of the server's operating system", Verdict::Wait, "see the server's log"),
    entry(&["28"], "the login was refused", Verdict::Stop, "correct the user and password in the URL"),
    entry(
        &["42501"],
        "a privilege is missing",
        Verdict::Stop,
        "GRANT SELECT, INSERT, UPDATE ON orders, kafka_offsets, rejected_events, rejected_counts, kpi_minute, ccstream_version; GRANT SELECT, INSERT, UPDATE, DELETE ON latency_minute; GRANT TEMPORARY ON the database. For the analyzer: GRANT SELECT ON those tables; GRANT SELECT, INSERT, UPDATE ON analysis, analysis_offsets, scores, labels, models, score_minute, score_day, feature_day, fraud_cards, windows, alerts, alert_rules; GRANT SELECT ON alert_silences; GRANT SELECT, INSERT, UPDATE, DELETE ON analysis_state, top_cards, windows_late, windows_state, segments_adopted, alert_state, alert_journal, alert_outbox, kpi_band, anomaly_state, anomaly_journal",
    ),
    entry(
        &["42P01", "42703"],
        "a table or column does not exist",
        Verdict::Stop,
        "start the consumer again, which creates it or says what to do",
    ),
    entry(
        &["P0"],
        "a trigger raised an exception",
        Verdict::Stop,
        "fix the trigger; to refuse only single rows, let it raise with ERRCODE = 'check_violation'",
    ),
];

/// Returns the line for a SQLSTATE, if there is one.
pub fn entry_of(state: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.states.iter().any(|known| state.starts_with(known)))
}

/// Returns what ccstream does about a SQLSTATE.
pub fn verdict(state: &str) -> Verdict {
    entry_of(state).map_or(Verdict::Stop, |entry| entry.verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        for (state, expected) in [
            ("08006", Verdict::Wait),
            ("40001", Verdict::Wait),
            ("40P01", Verdict::Wait),
            ("53100", Verdict::Wait),
            ("53300", Verdict::Wait),
            ("57014", Verdict::Wait),
            ("57P01", Verdict::Wait),
            ("57P03", Verdict::Wait),
            ("57P04", Verdict::Stop),
            ("58030", Verdict::Wait),
            ("55P03", Verdict::Wait),
            ("25006", Verdict::Wait),
            ("25P03", Verdict::Wait),
            ("22001", Verdict::Reject),
            ("23505", Verdict::Reject),
            ("23514", Verdict::Reject),
            ("42501", Verdict::Stop),
            ("42P01", Verdict::Stop),
            ("28P01", Verdict::Stop),
            ("3D000", Verdict::Stop),
            ("55000", Verdict::Stop),
            ("25P02", Verdict::Stop),
            ("P0001", Verdict::Stop),
            ("XX000", Verdict::Stop),
        ] {
            assert_eq!(verdict(state), expected, "{state}");
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../../docs/postgres-errors.md");
        for entry in TABLE {
            let states = entry.states.join(", ");
            let line = format!("| {states} | {} | {} | {} |", entry.meaning, entry.verdict, entry.cure);
            assert!(page.contains(&line), "docs/postgres-errors.md lacks: {line}");
        }
        let table = page.split("| SQLSTATE |").nth(1).unwrap().split("\n\n").next().unwrap();
        // Besides its header, the table has a separator and one line for all other SQLSTATEs.
        assert_eq!(table.lines().count() - 1, TABLE.len() + 2, "docs/postgres-errors.md has lines that the code lacks");
    }
}
