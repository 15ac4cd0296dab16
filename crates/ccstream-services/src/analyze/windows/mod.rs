//! This module counts transactions in the windows of `windows.toml`. It performs no I/O.
//!
//! ```text
//! windows.toml ─> definitions ─> begin: what is stored ─> follow: scores and orders ─> with each event
//! ```
//! A window that begins, or that was not counted for a while, first follows what was scored, from `orders` and a bounded
//! number of transactions at a time. Scores never wait for it. Once it has come as far as the analysis, it is counted with
//! each event.

mod missed;
mod recount;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::missed::MissedDays;
pub(super) use self::recount::recount;
use crate::postgres::analysis::{CountedWindow, MissedRow, PastRow, StoredWindow, WindowsBatch};
use ccstream_analysis::SnapshotError;
use ccstream_analysis::windows::{Definition, Event, Facts, Fields, Window};
use ccstream_core::event::Micros;

/// Minimum time between two transactions that write rows of windows.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Maximum time between them.
const FLUSH_AT_LEAST_EVERY: Duration = Duration::from_secs(30);
/// Minimum time between them for each row that the first one writes, so that rows that change all the time do not slow
/// the analysis.
const FLUSH_FOR_EACH: Duration = Duration::from_micros(200);
/// Maximum size of the parts of a window's state that are written for each second.
const STATE_BYTES: usize = 1 << 20;

/// Counts all windows.
#[derive(Default)]
pub(super) struct Windows {
    all: Vec<Counting>,
    /// When rows were last written, and when they are written next.
    flushed: Option<(Instant, Instant)>,
    /// Whether something was counted since.
    is_changed: bool,
    /// Whether everything is written with the next batch.
    is_ending: bool,
}

/// A window that is counted.
pub(super) struct Counting {
    pub(super) definition: Arc<Definition>,
    pub(super) version: i32,
    window: Window,
    /// The place in the order up to which the table's rows are complete.
    shown: i64,
    /// Whether the table may have rows of earlier versions.
    pub(super) replaces: bool,
    /// How often transactions were not counted since that was last written.
    missed: MissedDays,
    /// How far the window has come; None if it is counted with each event.
    behind: Option<Behind>,
}

/// How far a window has come that follows the analysis.
#[derive(Clone, Copy)]
struct Behind {
    /// The place in the order.
    seq: i64,
    /// The greatest time of an event up to it.
    reached: Option<i64>,
    /// The place up to which `windows_late` is complete.
    counted: i64,
}

impl Counting {
    /// Begins with what is stored of a window.
    ///
    /// Errors: the state cannot be used.
    pub(super) fn new(
        definition: &Arc<Definition>,
        stored: StoredWindow,
        fields: &Fields,
    ) -> Result<Self, SnapshotError> {
        let StoredWindow { version, seq: shown, counted, replaces, parts } = stored;
        let mut window = Window::new((**definition).clone(), fields);
        for (part, (seq, _, data)) in &parts {
            window.load(*part, *seq as u64, data)?;
        }
        let seq = window.resumes_after() as i64;
        let reached = parts.values().find(|(one, ..)| *one == seq).and_then(|(_, reached, _)| *reached);
        let behind = Some(Behind { seq, reached, counted });
        let definition = Arc::clone(definition);
        Ok(Self { definition, version, window, shown, replaces, missed: MissedDays::default(), behind })
    }

    fn take_missed(&mut self, rows: &mut Vec<MissedRow>) {
        let Self { definition, version, missed, .. } = self;
        rows.extend(missed.take().into_iter().map(|(day, missed)| MissedRow {
            name: definition.name.clone(),
            version: *version,
            day,
            missed,
        }));
    }

    /// Returns what the table and the state get.
    fn counted(&mut self, seq: i64, reached: Option<i64>, counted: Option<i64>, most: usize) -> CountedWindow {
        let flushed = self.window.flush(reached);
        let (parts, unchanged) = self.window.snapshot(seq as u64, most);
        self.shown = seq;
        let (definition, version) = (Arc::clone(&self.definition), self.version);
        CountedWindow { definition, version, flushed, parts, unchanged, seq, reached, counted, lacking: 0 }
    }
}

impl Windows {
    /// Counts these windows from now on.
    pub(super) fn set(&mut self, all: Vec<Counting>) {
        self.all = all;
        self.flushed = None;
    }

    /// Takes all windows out.
    pub(super) fn take(&mut self) -> Vec<Counting> {
        std::mem::take(&mut self.all)
    }

    /// Counts a transaction.
    pub(super) fn add(&mut self, seq: u64, (time, reached): (Micros, Option<Micros>), facts: &Facts, score: f64) {
        let reached = reached.map(|reached| reached.0);
        let event = Event { seq, time: time.0, reached, facts, score: Some(score) };
        for one in self.all.iter_mut().filter(|one| one.behind.is_none()) {
            let missed = one.window.add(&event);
            one.missed.add(time.0, missed);
            self.is_changed = true;
        }
    }

    /// Returns whether rows are to be written.
    pub(super) fn is_due(&self) -> bool {
        self.is_changed && (self.is_ending || self.flushed.is_none_or(|(_, next)| next <= Instant::now()))
    }

    /// Writes everything with the next batch.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
    }

    /// Returns what a batch that ends at a place in the order writes.
    pub(super) fn take_batch(&mut self, seq: i64, reached: Option<Micros>) -> WindowsBatch {
        let mut batch = WindowsBatch::default();
        let is_due = self.is_due();
        let seconds = self.flushed.map_or(1, |(last, _)| last.elapsed().as_secs() as usize).max(1);
        let most = if self.is_ending { usize::MAX } else { STATE_BYTES * seconds };
        for one in self.all.iter_mut().filter(|one| one.behind.is_none()) {
            one.take_missed(&mut batch.missed);
            if is_due {
                batch.counted.push(one.counted(seq, reached.map(|reached| reached.0), None, most));
            }
        }
        if is_due {
            let rows: usize = batch.counted.iter().map(|one| one.flushed.rows.len()).sum();
            let wait = (FLUSH_FOR_EACH * rows as u32).clamp(FLUSH_EVERY, FLUSH_AT_LEAST_EVERY);
            let now = Instant::now();
            (self.flushed, self.is_changed, self.is_ending) = (Some((now, now + wait)), false, false);
        }
        batch
    }

    /// Returns the place in the order after which the window that is furthest behind follows, and how many places can be
    /// followed until another one joins; None if no window follows.
    pub(super) fn follows(&self, most: i64) -> Option<(i64, i64)> {
        let places = || self.all.iter().filter_map(|one| one.behind.map(|behind| behind.seq));
        let first = places().min()?;
        let next = places().filter(|place| *place > first).min();
        Some((first, next.map_or(most, |next| (next - first).min(most))))
    }

    /// Counts transactions that were scored after a place in the order, up to another. With `joins`, the windows are then
    /// counted with each event. Returns what is written.
    pub(super) fn follow(&mut self, rows: &[PastRow], (after, to): (i64, i64), joins: bool) -> WindowsBatch {
        let mut batch = WindowsBatch { followed: Some(to), ..WindowsBatch::default() };
        for one in &mut self.all {
            let Some(mut behind) = one.behind.filter(|behind| behind.seq == after) else { continue };
            let mut lacking = 0;
            for row in rows {
                let is_new = row.seq > behind.counted;
                match &row.facts {
                    Some(facts) => {
                        let (seq, time, reached) = (row.seq as u64, row.time, behind.reached);
                        let missed = one.window.add(&Event { seq, time, reached, facts, score: row.score });
                        if is_new {
                            one.missed.add(time, missed);
                        }
                    }
                    None => lacking += i64::from(is_new),
                }
                behind.reached = behind.reached.max(Some(row.time));
            }
            behind.seq = to;
            behind.counted = behind.counted.max(to);
            one.behind = (!joins).then_some(behind);
            // The table already has the rows as of an earlier flush, up to which nothing is new.
            if to >= one.shown {
                one.take_missed(&mut batch.missed);
                let mut counted = one.counted(to, behind.reached, (!joins).then_some(behind.counted), STATE_BYTES);
                counted.lacking = lacking;
                batch.counted.push(counted);
            }
        }
        batch
    }

    /// Returns whether a window has not come as far as the analysis, or its table may have rows of earlier versions.
    pub(super) fn has_work(&self) -> bool {
        self.all.iter().any(|one| one.behind.is_some() || one.replaces)
    }

    /// Returns a window whose table may have rows of earlier versions, although all of the current one are there.
    pub(super) fn replacing(&mut self) -> Option<&mut Counting> {
        self.all.iter_mut().find(|one| one.replaces && one.behind.is_none())
    }
}
