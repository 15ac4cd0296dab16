//! The file of `resume` while a run goes on.

use super::{Run, Schedule};
use crate::produce::payloads::Payloads;
use crate::produce::report::ProducerWarningKind as Kind;
use crate::produce::{ProduceEvent, warn};
use crate::report::Observers;
use ccstream_core::generate::Message;

impl Run<'_> {
    /// Warns if the run that saved the file was killed.
    pub(super) fn warn_of_killed(&self, observers: &mut Observers<'_, ProduceEvent>) {
        let Some(path) = self.leftover.of_killed() else { return };
        let text = format!(
            "the run that saved {} was killed: labels and late messages of its last transactions are lost, and some \
             messages that it sent after its last save are re-sent",
            path.display()
        );
        warn(observers, Kind::ResumeIncomplete, text);
    }

    /// Saves what is not sent, if a save is due before the next message is. The messages in flight are waited for, so
    /// that the file and the topics together have everything that was made. Returns false if the run should stop.
    pub(super) fn save(
        &mut self,
        next: &Message,
        payloads: &Payloads,
        schedule: &mut Schedule,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> bool {
        let may_save = self.leftover.has_file() && self.is_time_to_look();
        if !may_save || !self.leftover.is_save_due(schedule.wait(next)) {
            return true;
        }
        if !self.await_all(observers) {
            return false;
        }
        match self.leftover.save_running(next, payloads) {
            Ok(()) => self.has_warned_of_file = false,
            Err(error) if !self.has_warned_of_file => {
                self.has_warned_of_file = true;
                warn(observers, Kind::ResumeIncomplete, error.chain());
            }
            Err(_) => {}
        }
        true
    }
}
