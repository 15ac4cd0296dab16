//! This part of the loop begins windows, lets those follow that are behind, and reads their file again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Held, Run};
use crate::analyze::windows::Counting;
use crate::consume::{Warning, WarningKind};
use crate::error::Result;
use crate::postgres::analysis::BegunWindow;
use ccstream_analysis::attribute::Attribute;
use ccstream_analysis::windows::{Definition, Fields};

/// Maximum number of transactions that are read again at once.
const AT_ONCE: i64 = 10_000;
/// How long transactions may be absent from `orders` until the user is warned. The consumer is usually behind a little.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval at which they are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Since when windows wait for the consumer.
#[derive(Default)]
pub(super) struct Stalled {
    since: Option<Instant>,
    looked: Option<Instant>,
    has_warned: bool,
}

impl Run<'_, '_> {
    /// Reads the file of windows if it has changed, and counts what it defines. Without a change, only a run that has
    /// taken the lease begins.
    pub(super) fn watch_windows(&mut self, has_claimed: bool) -> Result<()> {
        let wrong = self.windows_file.look();
        if self.begins(wrong, WarningKind::WindowRefused, has_claimed) { self.begin_windows() } else { Ok(()) }
    }

    fn begin_windows(&mut self) -> Result<()> {
        // What was counted is written, so that a window can continue where it is.
        self.commit_all()?;
        let Some(held) = &mut self.held else { return Ok(()) };
        let epoch = held.epoch;
        let mut before: BTreeMap<String, Counting> =
            held.fold.windows.take().into_iter().map(|one| (one.definition.name.clone(), one)).collect();
        let definitions = self.windows_file.definitions.clone();
        before.retain(|_, one| definitions.contains(&one.definition));
        let kept: Vec<&str> = before.keys().map(String::as_str).collect();
        match self.ask(async |store| store.release_windows(epoch, &kept).await)? {
            Some(true) => {}
            Some(false) => {
                self.lose();
                return Ok(());
            }
            None => return Ok(()),
        }
        let attributes: Vec<Attribute> = definitions.iter().flat_map(|one| one.by.iter().copied()).collect();
        let fields = self.need_fields(&attributes);
        let mut all = Vec::new();
        for definition in &definitions {
            match before.remove(&definition.name) {
                Some(one) => all.push(one),
                None => all.extend(self.begin_window(epoch, definition, &fields)?),
            }
            if self.held.is_none() {
                return Ok(());
            }
        }
        if let Some(held) = &mut self.held {
            held.fold.windows.set(all);
        }
        Ok(())
    }

    fn begin_window(&mut self, epoch: i64, definition: &Arc<Definition>, fields: &Fields) -> Result<Option<Counting>> {
        for again in [false, true] {
            match self.ask(async |store| store.begin_window(epoch, definition, again).await)? {
                None => self.held = None,
                Some(None) => self.lose(),
                Some(Some(BegunWindow::Refused(text))) => {
                    self.warn(Some(Warning::new(WarningKind::WindowRefused, text)));
                }
                Some(Some(BegunWindow::Stored(stored))) => match Counting::new(definition, stored, fields) {
                    Ok(counting) => return Ok(Some(counting)),
                    Err(error) => {
                        tracing::info!(name = definition.name, %error, "The window is counted again.");
                        continue;
                    }
                },
            }
            break;
        }
        Ok(None)
    }

    /// Lets the windows follow that are behind. Returns whether there was something to do.
    pub(super) fn follow_windows(&mut self) -> Result<bool> {
        let Some(held) = &mut self.held else { return Ok(false) };
        let epoch = held.epoch;
        let Some((after, most)) = held.fold.windows.follows(AT_ONCE) else { return self.clear_windows() };
        if self.stalled.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(false);
        }
        if held.fold.state.seq() as i64 - after < most {
            // The windows join the analysis, if everything that was scored is written.
            self.commit()?;
            self.settle()?;
        }
        let (fields, topic) = (self.lanes.fields.clone().unwrap_or_default(), &self.config.kafka.topic);
        let past = self.ask(async |store| store.past_rows(after, most, &fields, topic).await)?;
        let (Some(past), Some(held)) = (past, &mut self.held) else { return Ok(false) };
        let joins = past.to == held.fold.state.seq() as i64;
        let batch = held.fold.windows.follow(&past.rows, (after, past.to), joins);
        if !batch.is_empty() {
            // After a stop, a write that ends halfway would cost the batch that was folded.
            let grace = self.grace();
            self.database.free()?.wait_at_most(grace);
            let written = self.ask(async |store| store.write_windows(epoch, &batch).await)?;
            self.database.free()?.wait_at_most(Duration::ZERO);
            match written {
                Some(true) => {}
                Some(false) => self.lose(),
                None => self.held = None,
            }
        }
        self.stall(past.is_behind && past.to == after);
        Ok(past.to > after)
    }

    /// Notes whether windows wait for the consumer.
    fn stall(&mut self, is_stalled: bool) {
        if !is_stalled {
            self.stalled = Stalled::default();
            return;
        }
        self.stalled.looked = Some(Instant::now());
        let since = *self.stalled.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE && !std::mem::replace(&mut self.stalled.has_warned, true) {
            let text = "scored transactions, from which windows are counted, are not in the table orders. The windows wait \
                        until the consumer has stored them; scores do not. Start the consumer if it is not running";
            self.warn(Some(Warning::new(WarningKind::OrdersBehind, text)));
        }
    }

    /// Deletes rows of earlier versions of a window, a number at a time. Returns whether there were any.
    fn clear_windows(&mut self) -> Result<bool> {
        let Some(held) = &mut self.held else { return Ok(false) };
        let epoch = held.epoch;
        let Some(one) = held.fold.windows.replacing() else { return Ok(false) };
        let (definition, version) = (Arc::clone(&one.definition), one.version);
        let cleared = self.ask(async |store| store.clear_window(epoch, &definition, version).await)?;
        match cleared {
            Some(Some(is_done)) => {
                if let Some(one) = self.held.as_mut().and_then(|held| held.fold.windows.replacing()) {
                    one.replaces = !is_done;
                }
            }
            // The batch before may have been refused for the same reason.
            Some(None) if self.held.is_some() => self.lose(),
            Some(None) | None => {}
        }
        Ok(true)
    }

    /// Begins to write rows of windows that have waited long enough, and changes of alerts, if no batch takes them along.
    pub(super) fn flush(&mut self) -> Result<()> {
        let is_free = self.database.is_free();
        let is_due = |held: &&mut Held| {
            is_free && held.fold.batch.is_empty() && (held.fold.windows.is_due() || held.fold.has_ticked())
        };
        let Some(held) = self.held.as_mut().filter(is_due) else { return Ok(()) };
        let batch = held.fold.take_batch();
        self.write(batch)
    }

    /// Commits what was folded, with all rows of windows and all of their state.
    pub(super) fn commit_all(&mut self) -> Result<()> {
        if let Some(held) = &mut self.held {
            held.fold.windows.end();
        }
        self.commit()?;
        // If there was no batch, nothing is being written.
        self.flush()?;
        self.settle()
    }

    /// Returns whether windows have something to do besides what comes with events.
    pub(super) fn windows_have_work(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.fold.windows.has_work())
    }
}
