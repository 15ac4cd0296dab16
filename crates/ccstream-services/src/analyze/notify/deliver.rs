//! Sends notifications to one target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::mail::Mailer;
use super::sender::Command;
use super::topic::Topic;
use super::webhook::Webhook;
use crate::postgres::analysis::Claimed;
use ccstream_analysis::notify::{Channel, Notice, Target};
use ccstream_core::settings::KafkaConfig;

/// How long each step of sending a notification may take; with HTTP, all of it.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Delivery {
    Sent,
    Failed {
        /// Why, without any secret.
        error: String,
        /// The time that the target wants to be left alone for.
        asked: Option<Duration>,
        /// Whether the target does not want this notification.
        is_refused: bool,
    },
}

impl Delivery {
    /// Returns a failure after which it is tried again.
    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), asked: None, is_refused: false }
    }
}

/// Sends by what a target has named.
enum Way {
    Webhook(Webhook),
    Mail(Mailer),
    Topic(Topic),
}

impl Way {
    fn new(channel: &Channel, kafka: &KafkaConfig) -> Self {
        match channel {
            Channel::Webhook(url, form) => Self::Webhook(Webhook::new(url.clone(), *form)),
            Channel::Mail(mail) => Self::Mail(Mailer::new(mail.clone())),
            Channel::Topic(name) => Self::Topic(Topic::new(name.clone(), kafka.clone())),
        }
    }

    fn send(&mut self, notice: &Notice) -> Delivery {
        match self {
            Self::Webhook(webhook) => webhook.send(notice),
            Self::Mail(mailer) => mailer.send(notice),
            Self::Topic(topic) => topic.send(notice),
        }
    }
}

/// Sends what it gets, one after another, until there is nobody who gives it something. `number` tells the sender whom the
/// answers are from.
pub(super) fn run(
    number: u64,
    target: &Target,
    kafka: &KafkaConfig,
    jobs: &Receiver<Claimed>,
    answers: &Sender<Command>,
) {
    let mut way = Way::new(&target.channel, kafka);
    for claimed in jobs {
        let delivery = match &claimed.notice {
            None => Delivery::Sent,
            // A panic in a library must not end the notifications of a target.
            Some(notice) => catch_unwind(AssertUnwindSafe(|| way.send(notice)))
                .unwrap_or_else(|_| Delivery::failed("sending it has panicked; see the log")),
        };
        if answers.send(Command::Done { number, claimed, delivery }).is_err() {
            return;
        }
    }
}
