//! What earlier runs did not send, and what this run leaves: the file of `resume`, and messages that wait for their time.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::payloads::Payloads;
use super::unsent_file;
use crate::error::Result;
use ccstream_core::event::Micros;
use ccstream_core::generate::{Message, Topic, Unsent};

/// Messages of an earlier run, and the file for those of this run.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    file: Option<PathBuf>,
    /// What the file has. Labels go to the generator, which keeps them in less memory.
    taken: Vec<Unsent>,
    /// All taken messages but labels, in the order in which they are due.
    messages: VecDeque<Message>,
}

/// A number of labels, and of other messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) labels: u64,
    pub(super) others: u64,
}

impl Counts {
    fn of(unsent: &[Unsent]) -> Self {
        let labels = unsent.iter().filter(|one| one.is_label()).count() as u64;
        Self { labels, others: unsent.len() as u64 - labels }
    }
}

impl Leftover {
    /// Reads the file, if there is one. Errors: a line is wrong, or the file could not be replaced at the end of the run.
    pub(super) fn read(file: Option<PathBuf>) -> Result<Self> {
        let Some(path) = &file else { return Ok(Self::default()) };
        let taken = unsent_file::read(path)?;
        unsent_file::check(path)?;
        Ok(Self { file, taken, messages: VecDeque::new() })
    }

    /// Whether messages of a topic were taken from the file.
    pub(super) fn has(&self, topic: Topic) -> bool {
        let is_of = |one: &Unsent| match one {
            Unsent::Label(_) => topic == Topic::Labels,
            Unsent::Message(message) => message.topic == topic,
        };
        self.taken.iter().any(is_of)
    }

    /// Begins to send what was taken. Returns its numbers, if there is any.
    pub(super) fn begin(&mut self, payloads: &mut Payloads) -> Option<Counts> {
        let taken = std::mem::take(&mut self.taken);
        let counts = Counts::of(&taken);
        for one in taken {
            match one {
                Unsent::Label(label) => payloads.add_label(label),
                Unsent::Message(message) => self.messages.push_back(*message),
            }
        }
        (counts != Counts { labels: 0, others: 0 }).then_some(counts)
    }

    /// Returns the first message that is due by a time.
    pub(super) fn next_by(&mut self, time: Micros) -> Option<Message> {
        let is_due = self.messages.front().is_some_and(|first| first.due <= time);
        if is_due { self.messages.pop_front() } else { None }
    }

    /// Adds a message that was made and not sent.
    pub(super) fn put_back(&mut self, message: Message) {
        self.messages.push_front(message);
    }

    /// Takes everything that was not sent, in the order in which it is due.
    pub(super) fn take_all(&mut self, payloads: &mut Payloads) -> Vec<Unsent> {
        let mut all: Vec<Unsent> = self.messages.drain(..).map(|message| Unsent::Message(Box::new(message))).collect();
        all.extend(payloads.take_unsent());
        // The sort is stable, so the truth about a message stays behind it.
        all.sort_by_key(Unsent::due);
        all
    }

    /// Saves everything that was not sent. Returns its numbers; None without a file.
    pub(super) fn save(&mut self, payloads: &mut Payloads) -> Result<Option<Counts>> {
        let Some(path) = self.file.take() else { return Ok(None) };
        let all = self.take_all(payloads);
        unsent_file::write(&path, &all)?;
        Ok(Some(Counts::of(&all)))
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }
}
