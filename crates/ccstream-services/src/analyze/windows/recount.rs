//! This module counts windows again from `scores` and `orders`, and compares them with their tables.

use super::missed::MissedDays;
use crate::error::Result;
use crate::postgres::analysis::{AnalysisStore, ListedWindow};
use ccstream_analysis::attribute::Attribute;
use ccstream_analysis::windows::{Definition, Event, Fields, Window, WindowRow, parse};

/// Maximum number of transactions that are read at once.
const AT_ONCE: i64 = 50_000;

/// What was compared, and what differs.
#[derive(Debug, Default)]
pub(in crate::analyze) struct WindowsRecount {
    /// Number of rows that were compared.
    pub(in crate::analyze) rows: i64,
    pub(in crate::analyze) problems: Vec<String>,
}

/// A window that is counted again.
struct Again {
    listed: ListedWindow,
    definition: Definition,
    window: Window,
    missed: MissedDays,
    rows: i64,
    differing: i64,
    first: Option<String>,
}

/// Compares the windows whose rows depend only on transactions up to `end`, which are all in `orders`.
pub(in crate::analyze) async fn recount(store: &mut AnalysisStore, end: i64) -> Result<WindowsRecount> {
    let mut found = WindowsRecount::default();
    let mut fields = Fields::default();
    let mut all = Vec::new();
    let unreadable = store.adopted_segments_lost().await?;
    for listed in store.windows().await?.into_iter().filter(|one| one.seq.max(one.counted) <= end) {
        let name = &listed.name;
        match parse(&listed.definition).right.pop() {
            _ if !listed.is_there => found.problems.push(format!("windows: the table window_{name} does not exist")),
            None => found.problems.push(format!("windows: this version cannot read the definition of {name}")),
            Some(definition) if unreadable.is_some() && definition.by.contains(&Attribute::Segment) => {
                let why = unreadable.as_deref().unwrap_or_default();
                found.problems.push(format!("windows: window_{name} was not counted again: {why}"));
            }
            Some(definition) => {
                fields.add(&definition.by);
                all.push((listed, definition));
            }
        }
    }
    let again = |(listed, definition): (ListedWindow, Definition)| Again {
        window: Window::new(definition.clone(), &fields),
        listed,
        definition,
        missed: MissedDays::default(),
        rows: 0,
        differing: 0,
        first: None,
    };
    let mut all: Vec<Again> = all.into_iter().map(again).collect();
    let last = all.iter().map(|one| one.listed.seq.max(one.listed.counted)).max().unwrap_or_default();
    let (mut after, mut reached) = (0, None);
    while after < last {
        // Every window is compared at its own place, so none is passed.
        let next = all.iter().map(|one| one.listed.seq).filter(|seq| *seq > after).min().unwrap_or(last);
        let past = store.past_rows(after, (next - after).min(AT_ONCE), &fields, "").await?;
        for row in &past.rows {
            if let Some(facts) = &row.facts {
                for one in all.iter_mut().filter(|one| row.seq <= one.listed.seq.max(one.listed.counted)) {
                    let (seq, time) = (row.seq as u64, row.time);
                    let missed = one.window.add(&Event { seq, time, reached, facts, score: row.score });
                    one.missed.add(time, missed);
                }
            }
            reached = reached.max(Some(row.time));
        }
        if past.to == after {
            break;
        }
        after = past.to;
        for one in all.iter_mut().filter(|one| after <= one.listed.seq) {
            let is_end = after == one.listed.seq;
            let rows = if is_end { one.window.flush(reached).rows } else { one.window.take_closed(reached) };
            one.compare(store, &rows).await?;
        }
    }
    for one in all {
        found.rows += one.rows;
        one.end(store, &mut found.problems).await?;
    }
    Ok(found)
}

impl Again {
    async fn compare(&mut self, store: &mut AnalysisStore, rows: &[WindowRow]) -> Result<()> {
        for rows in rows.chunks(AT_ONCE as usize) {
            let (differing, first) = store.differing_rows(&self.definition, self.listed.version, rows).await?;
            self.rows += rows.len() as i64;
            self.differing += differing;
            self.first = self.first.take().or(first);
        }
        Ok(())
    }

    async fn end(self, store: &mut AnalysisStore, problems: &mut Vec<String>) -> Result<()> {
        let Self { listed: ListedWindow { name, version, .. }, definition, mut missed, rows, differing, first, .. } =
            self;
        if differing > 0 {
            let first = first.unwrap_or_default();
            problems.push(format!(
                "windows: {differing} rows of window_{name} differ from a recount, the first at {first}"
            ));
        }
        let found = store.window_rows(&definition, version).await?;
        if found != rows {
            problems.push(format!("windows: window_{name} has {found} rows; a recount has {rows}"));
        }
        if store.missed(&name, version).await? != missed.take() {
            problems.push(format!("windows: the rows of windows_late of {name} differ from a recount"));
        }
        Ok(())
    }
}
