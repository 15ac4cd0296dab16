//! This part of the loop adopts the segments of merchants, while a window or a rule goes by them.

use std::time::{Duration, Instant};

use super::Run;
use crate::analyze::fold::Adopted;
use crate::consume::{Warning, WarningKind};
use crate::error::Result;
use crate::postgres::analysis::SegmentRun;
use ccstream_analysis::attribute::Attribute;
use ccstream_analysis::segments::Segments;

/// Interval at which a newer run of `ccstream segment` is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Whether segments are used, and when they were looked for.
#[derive(Default)]
pub(super) struct Watch {
    is_used: bool,
    looked: Option<Instant>,
    has_warned: bool,
}

impl Run<'_, '_> {
    /// Notes whether a window or a rule goes by segments. Everything that was folded must be committed.
    pub(super) fn note_segments(&mut self) {
        let segment = &Attribute::Segment;
        let (windows, rules) = (&self.windows_file.definitions, &self.alerts_file.rules.definitions);
        self.segments.is_used = windows.iter().any(|one| one.by.contains(segment))
            || rules.iter().any(|one| one.attributes().contains(segment));
        if let Some(held) = self.held.as_mut().filter(|_| !self.segments.is_used) {
            held.fold.segments = None;
        }
    }

    /// Adopts the segments of the last run of `ccstream segment`, if there is a newer one. What is unavailable stops
    /// nothing.
    pub(super) fn watch_segments(&mut self) -> Result<()> {
        let Some(held) = self.held.as_ref().filter(|_| self.segments.is_used) else { return Ok(()) };
        let is_first = held.fold.segments.is_none();
        if !is_first && self.segments.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.segments.looked = Some(Instant::now());
        let found = match self.ask(async |store| store.newest_segments().await)? {
            Some(found) => found,
            // The run is stopping. Nothing may be folded without the segments by which it goes.
            None if is_first => {
                self.held = None;
                return Ok(());
            }
            None => return Ok(()),
        };
        let is_usable = found.is_ok();
        if let Err(why) = &found
            && !self.segments.has_warned
        {
            let text = format!("the segments of merchants, by which windows or alerts go, cannot be used: {why}");
            self.warn(Some(Warning::new(WarningKind::SegmentsUnavailable, text)));
        }
        self.segments.has_warned = !is_usable;
        let run = found.ok();
        let is_adopted = |held: &super::Held| held.fold.segments.as_ref().is_some_and(|adopted| adopted.run == run);
        // Those of before remain while there are none that can be used.
        if !is_first && !is_usable || self.held.as_ref().is_none_or(is_adopted) {
            return Ok(());
        }
        self.adopt(run)
    }

    fn adopt(&mut self, run: Option<SegmentRun>) -> Result<()> {
        // What was folded goes by the segments of before.
        self.commit()?;
        let Some(epoch) = self.held.as_ref().map(|held| held.epoch) else { return Ok(()) };
        let segments = match &run {
            Some(run) => self.ask(async |store| store.segments_after(run).await)?,
            None => Some(Segments::default()),
        };
        let Some(segments) = segments else {
            self.held = None;
            return Ok(());
        };
        match self.ask(async |store| store.adopt_segments(epoch, run.as_ref()).await)? {
            Some(true) => {
                if let Some(held) = &mut self.held {
                    held.fold.segments = Some(Adopted { run, segments });
                }
            }
            // The batch before may have been refused for the same reason.
            Some(false) if self.held.is_some() => self.lose(),
            Some(false) => {}
            None => self.held = None,
        }
        Ok(())
    }
}
