//! The events that a producer reports while it runs, and the summary of a run.

use std::time::Duration;

/// What the producer reports to whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProduceEvent {
    /// The broker answered, and the topic exists.
    Connected {
        /// Whether the topic had to be created.
        created: bool,
        /// Which brokers of several cannot be reached, in words.
        unreachable: Option<String>,
    },
    /// Something that a person should know. Nothing is lost.
    Warning(ProducerWarning),
    /// The file of `resume` had messages that an earlier run did not send. This run sends them when they are due.
    Resumed {
        /// The number of labels.
        labels: u64,
        /// The number of other messages.
        others: u64,
    },
    /// The run ended, and the file of `resume` has the messages that it did not send.
    Saved {
        /// The number of labels.
        labels: u64,
        /// The number of other messages.
        others: u64,
    },
    /// A command changed the generated world.
    Applied {
        /// The number of events before it.
        after: u64,
        /// The command.
        command: String,
    },
    /// An event is handed to Kafka (at watchable rates only).
    Sending {
        /// Its number, from 0.
        number: u64,
        /// Its JSON.
        payload: Vec<u8>,
    },
    /// Kafka has it (at watchable rates only).
    Sent {
        /// Its partition.
        partition: i32,
        /// Its place there.
        offset: i64,
    },
    /// Kafka does not have it (at watchable rates only).
    NotSent {
        /// Why.
        error: String,
    },
    /// The summary so far, four times a second above watchable rates and during a history, and at the end.
    Progress(ProduceSummary),
}

impl ProduceEvent {
    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Warning(_) => "warning",
            Self::Resumed { .. } => "resumed",
            Self::Saved { .. } => "saved",
            Self::Applied { .. } => "applied",
            Self::Sending { .. } => "sending",
            Self::Sent { .. } => "sent",
            Self::NotSent { .. } => "not_sent",
            Self::Progress(_) => "progress",
        }
    }
}

/// A warning of the producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerWarning {
    /// What it is about.
    pub kind: ProducerWarningKind,
    /// The same as a sentence.
    pub text: String,
}

/// What a warning of the producer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerWarningKind {
    /// Cards are used so often that they show no habits.
    CardsOverused,
    /// Too many refunds, retries, labels or late messages wait, and are sent before their time.
    SentEarly,
    /// The run ended before labels, or late and second messages, were due, or before the labels of a file were sent. They
    /// are not sent.
    LabelsNotSent,
    /// The file of `resume` lacks messages: the run that saved it was killed, or it cannot be saved during this run.
    ResumeIncomplete,
    /// A line of `control` is no command, or a command could not be applied or recorded.
    CommandSkipped,
}

impl ProducerWarningKind {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CardsOverused => "cards_overused",
            Self::SentEarly => "sent_early",
            Self::LabelsNotSent => "labels_not_sent",
            Self::ResumeIncomplete => "resume_incomplete",
            Self::CommandSkipped => "command_skipped",
        }
    }
}

/// What was sent and what became of it. An event is a transaction; labels and truths are counted apart. `sent = acknowledged + failed` at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProduceSummary {
    /// Events handed to librdkafka.
    pub sent: u64,
    /// Events that the broker acknowledged.
    pub acknowledged: u64,
    /// Events that could not be delivered.
    pub failed: u64,
    /// Labels that the broker acknowledged.
    pub labels: u64,
    /// Truths that the broker acknowledged.
    pub truths: u64,
    /// Labels and truths that could not be delivered.
    pub lost: u64,
    /// The number of messages that a new client re-sent, after Kafka had lost the sequence of the client before: at most
    /// this number of messages is in its topic twice. The other counts have each message once.
    pub sent_again: u64,
    /// Since the first event.
    pub elapsed: Duration,
}
