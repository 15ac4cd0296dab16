//! The labels of a file that are sent before its transactions, or after the last of them.

use super::{End, Run};
use crate::error::{Error, Result};
use crate::produce::ProduceEvent;
use crate::produce::payloads::Payloads;
use crate::report::Observers;
use ccstream_core::generate::Message;

impl Run<'_> {
    /// Sends all labels, if they come first, and waits until the broker has acknowledged each of them.
    ///
    /// Errors: a label was not delivered. No transaction is sent then, because it would be scored without the label.
    pub(super) fn begin_with_labels(
        &mut self,
        payloads: &mut Payloads,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> Result<End> {
        if !payloads.begins_with_labels() {
            return Ok(End::Done);
        }
        let mut end = self.send_labels(payloads, observers)?;
        if end == End::Done && !self.await_all(observers) {
            end = End::Stopped;
        }
        match self.sender.summary().lost {
            0 => Ok(end),
            lost => Err(Error::Broker(format!(
                "{lost} labels were not delivered, so no transaction was sent: {}; fix the cause and send both files again",
                self.sender.failure
            ))),
        }
    }

    /// Sends the labels that are left in the file.
    pub(super) fn send_labels(
        &mut self,
        payloads: &mut Payloads,
        observers: &mut Observers<'_, ProduceEvent>,
    ) -> Result<End> {
        let mut message = Message::default();
        while payloads.next_label(&mut message)? {
            if self.stop.is_cancelled() || !self.send(&message, observers)? {
                return Ok(End::Stopped);
            }
            self.progress(observers);
        }
        Ok(End::Done)
    }
}
