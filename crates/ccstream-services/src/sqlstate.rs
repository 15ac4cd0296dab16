//! PostgreSQL's error codes, and what each means for a batch: one table, which the README repeats.

use std::fmt;

/// What is done about an error of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Waiting can help: the same batch is written again until it goes through, fetching paused.
    Wait,
    /// A row of the batch is to blame: it alone is rejected, with PostgreSQL's reason.
    Reject,
    /// No waiting mends it: the program ends, nothing of the batch stored, and nothing lost.
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
    /// SQLSTATEs, whole or by their class of two characters.
    pub states: &'static [&'static str],
    /// What they mean.
    pub meaning: &'static str,
    /// What is done.
    pub verdict: Verdict,
    /// What a person does about it; empty where nothing is to be done.
    pub cure: &'static str,
}

const fn entry(states: &'static [&'static str], meaning: &'static str, verdict: Verdict, cure: &'static str) -> Entry {
    Entry { states, meaning, verdict, cure }
}

/// Every SQLSTATE has the verdict of the first line that names it or its class; one that no line
/// names stops. The codes are those of PostgreSQL's manual, appendix A.
pub const TABLE: &[Entry] = &[
    entry(&["22", "23"], "data exception, violated constraint", Verdict::Reject, "`ccstream rejected --show`"),
    entry(&["08"], "the connection", Verdict::Wait, "start PostgreSQL, mend the way to it"),
    entry(
        &["25006"],
        "a read-only server or database",
        Verdict::Wait,
        "promote the standby; `default_transaction_read_only = off`",
    ),
    entry(&["25P03", "25P04"], "a transaction that stood too long", Verdict::Wait, ""),
    entry(&["40"], "serialization, deadlock", Verdict::Wait, ""),
    entry(&["53"], "disk, memory or connections used up", Verdict::Wait, "free some"),
    entry(&["55P03"], "a lock not had within 5 s", Verdict::Wait, "end the session that holds it"),
    entry(&["57P04", "3D"], "there is no such database", Verdict::Stop, "create it, or name another in the URL"),
    entry(&["57"], "shutdown, start-up, an operator's cancel", Verdict::Wait, "start PostgreSQL"),
    entry(&["58"], "an error of the server's system", Verdict::Wait, "see the server's log"),
    entry(&["28"], "the login", Verdict::Stop, "give the right user and password"),
    entry(
        &["42501"],
        "a privilege is missing",
        Verdict::Stop,
        "GRANT SELECT, INSERT, UPDATE ON orders, kafka_offsets, rejected_events, rejected_counts, kpi_minute, ccstream_version; GRANT SELECT, INSERT, UPDATE, DELETE ON latency_minute; GRANT TEMPORARY ON the database",
    ),
    entry(
        &["42P01", "42703"],
        "a table or column is gone",
        Verdict::Stop,
        "start the consumer again, which makes it or says what to do",
    ),
    entry(
        &["P0"],
        "a trigger raised an exception",
        Verdict::Stop,
        "mend the trigger; one that is to refuse single rows raises with ERRCODE = 'check_violation'",
    ),
];

/// The line of a SQLSTATE, if it has one.
pub fn entry_of(state: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.states.iter().any(|known| state.starts_with(known)))
}

/// What is done about a SQLSTATE.
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
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../../../README.md");
        for entry in TABLE {
            let states = entry.states.join(", ");
            let line = format!("| {states} | {} | {} | {} |", entry.meaning, entry.verdict, entry.cure);
            assert!(readme.contains(&line), "README.md lacks: {line}");
        }
        let table = readme.split("| SQLSTATE |").nth(1).unwrap().split("\n\n").next().unwrap();
        // Besides the head: the rule and the line for the rest.
        assert_eq!(table.lines().count() - 1, TABLE.len() + 2, "README.md has lines that the code has not");
    }
}
