//! What earlier runs did not send, and what this run leaves: the file of `resume`, and messages that wait for their time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::payloads::Payloads;
use super::unsent_file::{self, Saved};
use crate::error::Result;
use ccstream_core::event::Micros;
use ccstream_core::generate::{Message, Topic, Unsent};

/// How often a run saves what it has not sent, so that a kill loses little.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// A save that takes long is followed by this multiple of its time without one.
const LEAST_REST: u32 = 99;

/// Messages of an earlier run, and the file for those of this run.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    file: Option<PathBuf>,
    /// What the file has. Labels go to the generator, which keeps them in less memory.
    taken: Saved,
    /// All taken messages but labels, in the order in which they are due.
    messages: VecDeque<Message>,
    /// When the file is to be saved; None for at once.
    next_save: Option<Instant>,
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
        Ok(Self { file, taken, ..Self::default() })
    }

    /// Whether messages of a topic were taken from the file.
    pub(super) fn has(&self, topic: Topic) -> bool {
        let is_of = |one: &Unsent| match one {
            Unsent::Label(_) => topic == Topic::Labels,
            Unsent::Message(message) => message.topic == topic,
        };
        self.taken.messages.iter().any(is_of)
    }

    /// Begins to send what was taken. Returns its numbers, if there is any.
    pub(super) fn begin(&mut self, payloads: &mut Payloads) -> Option<Counts> {
        let taken = std::mem::take(&mut self.taken.messages);
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

    /// Whether the file is to be saved within a time.
    pub(super) fn is_save_due(&self, within: Duration) -> bool {
        self.next_save.is_none_or(|next| Instant::now() + within >= next)
    }

    /// Saves everything that is not sent during a run, `next` being the next message.
    pub(super) fn save_running(&mut self, next: &Message, payloads: &Payloads) -> Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let began = Instant::now();
        let messages = std::iter::once(next).chain(&self.messages);
        let mut all: Vec<Unsent> = messages.map(|message| Unsent::Message(Box::new(message.clone()))).collect();
        all.extend(payloads.unsent());
        let result = unsent_file::write(path, &Saved { messages: all, is_of_running: true });
        self.next_save = Some(Instant::now() + SAVE_EVERY.max(began.elapsed() * LEAST_REST));
        result
    }

    /// The file of a run that was killed, if this run took one.
    pub(super) fn of_killed(&self) -> Option<&Path> {
        self.file.as_deref().filter(|_| self.taken.is_of_running)
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
        let saved = Saved { messages: self.take_all(payloads), is_of_running: false };
        unsent_file::write(&path, &saved)?;
        Ok(Some(Counts::of(&saved.messages)))
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }
}
