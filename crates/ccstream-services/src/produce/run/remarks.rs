//! What happens in a run beside its messages: commands, and warnings.

use super::Run;
use crate::produce::payloads::Payloads;
use crate::produce::report::ProducerWarningKind as Kind;
use crate::produce::{ProduceEvent, ProduceSummary, WATCHABLE_RATE, real_rate, warn, warn_of_overuse};
use crate::report::Observers;
use ccstream_core::generate::{Command, Early, Pace};

impl Run<'_> {
    /// Applies the commands that are due after the last event.
    pub(super) fn obey(&mut self, payloads: &mut Payloads, observers: &mut Observers<'_, ProduceEvent>) {
        if !self.place.is_open || !self.commands.may_come(self.is_time_to_look()) {
            return;
        }
        while let Some(command) = self.commands.next(self.place.events) {
            let applied = command.and_then(|command| payloads.apply(&command).map(|()| command));
            let command = match applied {
                Ok(command) => command,
                Err(why) => {
                    warn(observers, Kind::CommandSkipped, why);
                    continue;
                }
            };
            observers.report(&ProduceEvent::Applied { after: self.place.events, command: command.to_string() });
            if let Err(why) = self.commands.record(self.place.events, &command) {
                warn(observers, Kind::CommandSkipped, why);
            }
            if let Command::Rate(rate) = command {
                self.follow_rate(Pace::PerSecond(rate), observers);
            }
        }
    }

    /// Adapts what is reported to another rate.
    fn follow_rate(&mut self, pace: Pace, observers: &mut Observers<'_, ProduceEvent>) {
        self.rate = real_rate(self.config, pace);
        self.watched &= self.rate <= WATCHABLE_RATE;
        if let Some(world) = &mut self.world {
            // The cards stay the same.
            world.cards = Some(world.cards());
            world.pace = pace;
            warn_of_overuse(world, observers);
        }
    }

    /// Warns once that too much waits, when that begins.
    pub(super) fn warn_of_early(&mut self, payloads: &Payloads, observers: &mut Observers<'_, ProduceEvent>) {
        let early = payloads.early();
        if self.has_warned || early == Early::default() {
            return;
        }
        self.has_warned = true;
        let text = match early {
            Early { labels: 1.., .. } => {
                "500,000 labels wait; from now on some are sent early, with their own dates; lower `rate` or `label_delay`"
            }
            Early { follow_ups: 1.., .. } => {
                "a million refunds, retries and steps of campaigns wait; from now on some are early; lower `rate`"
            }
            _ => "20,000 late and second messages wait; from now on some are sent early; lower `rate`",
        };
        warn(observers, Kind::SentEarly, text.into());
    }

    /// Warns of what was sent early, was not sent, or was not applied.
    pub(super) fn warn_at_end(&self, payloads: &Payloads, observers: &mut Observers<'_, ProduceEvent>) {
        if let Some(count) = payloads.label_count() {
            let ProduceSummary { labels, lost, .. } = self.sender.summary();
            let left = count.saturating_sub(labels + lost);
            if left > 0 {
                let text = format!("{left} of the file's {count} labels are not sent, because the run ended early");
                warn(observers, Kind::LabelsNotSent, text);
            }
        }
        let (mut labels, mut others) = payloads.waiting();
        labels += self.not_sent.0;
        others += self.not_sent.1;
        if labels + others > 0 {
            let others = if others > 0 { format!(", and {others} late or second messages,") } else { String::new() };
            let text =
                format!("{labels} labels that were not due yet{others} are not sent; with `resume`, they are saved");
            warn(observers, Kind::LabelsNotSent, text);
        }
        let early = payloads.early();
        if early != Early::default() {
            let Early { labels, follow_ups, messages } = early;
            let text = format!(
                "{follow_ups} refunds, retries and steps of campaigns, {labels} labels, and {messages} late or second \
                 messages were early, because too many waited"
            );
            warn(observers, Kind::SentEarly, text);
        }
        if self.commands.left() > 0 {
            let text = format!("{} commands of the script were not reached", self.commands.left());
            warn(observers, Kind::CommandSkipped, text);
        }
    }
}
