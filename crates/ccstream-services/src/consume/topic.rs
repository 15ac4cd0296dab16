//! Whether the topic is still the one that is read, and has the offsets that are next.

use std::time::{Duration, Instant};

use super::group::Group;
use crate::kafka::ffi::{TopicIds, TopicState};

/// How often it is looked whether the topic was made anew.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How soon after the question before, where an answer is needed: a broker that says one thing and another is not asked
/// without end.
const ASK_SOON: Duration = Duration::from_millis(50);
/// And how often while an answer is needed that does not come.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What became of the topic since it was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// It is the same.
    Same,
    /// It has this id now, which is another than before or was not known before.
    Changed(String),
    /// It is not there.
    Missing,
    /// The broker does not say, or not now.
    Silent,
}

/// What the broker answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) news: News,
    /// Something depended on it.
    pub(super) is_needed: bool,
    /// When it was asked.
    pub(super) asked: Instant,
}

/// Asks for the topic's id: now and then, and at once where something depends on it.
#[derive(Debug)]
pub(super) struct Watch {
    ids: TopicIds<Group>,
    /// The id under which the partitions were last placed.
    id: Option<String>,
    /// Since when an answer is needed.
    needed: Option<Instant>,
    looked: Instant,
}

impl Watch {
    pub(super) fn new(ids: TopicIds<Group>) -> Self {
        Self { ids, id: None, needed: None, looked: Instant::now() }
    }

    /// The id under which the partitions were last placed.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether an answer is awaited that something depends on.
    pub(super) fn is_needed(&self) -> bool {
        self.needed.is_some()
    }

    /// An answer is needed that was asked for from now on.
    pub(super) fn need(&mut self) {
        self.needed = Some(Instant::now());
    }

    fn is_due(&self) -> bool {
        match self.needed {
            // Soon, and then again where the answer was of no use.
            Some(needed) => self.looked.elapsed() >= if needed > self.looked { ASK_SOON } else { ASK_AGAIN },
            None => self.looked.elapsed() >= LOOK_EVERY,
        }
    }

    /// Asks if it is time, and returns the answer if there is one.
    pub(super) fn look(&mut self) -> Option<Answer> {
        if !self.ids.is_asking() && self.is_due() {
            self.looked = Instant::now();
            self.ids.ask();
        }
        let (state, asked) = self.ids.answer()?;
        let is_needed = self.needed.is_some_and(|needed| asked >= needed);
        if let TopicState::Unknown(why) = &state {
            tracing::debug!(why, "The broker did not describe the topic.");
        }
        let news = judge(state, self.id.as_deref());
        if is_needed && news != News::Missing {
            self.needed = None;
        }
        if let News::Changed(id) = &news {
            self.id = Some(id.clone());
        }
        Some(Answer { news, is_needed, asked })
    }
}

fn judge(state: TopicState, known: Option<&str>) -> News {
    match state {
        TopicState::There(Some(id)) if known == Some(&id) => News::Same,
        TopicState::There(Some(id)) => News::Changed(id),
        TopicState::There(None) => News::Same,
        TopicState::Missing => News::Missing,
        TopicState::Unknown(_) => News::Silent,
    }
}

/// What is true of a partition whose next offset the broker does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offsets {
    /// It has it after all.
    Fine,
    /// Its log begins only there: retention took what was before.
    Gap(i64),
    /// Its log ends before it.
    Shorter,
}

/// Judges a partition's next offset by where its log begins and ends.
pub(super) fn judge_offsets(next: i64, (begin, end): (i64, i64)) -> Offsets {
    if next < begin {
        Offsets::Gap(begin)
    } else if next > end {
        Offsets::Shorter
    } else {
        Offsets::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news() {
        let there = |id: &str| TopicState::There(Some(id.into()));
        for (state, known, expected) in [
            (there("a"), Some("a"), News::Same),
            (there("b"), Some("a"), News::Changed("b".into())),
            (there("b"), None, News::Changed("b".into())),
            (TopicState::There(None), Some("a"), News::Same),
            (TopicState::There(None), None, News::Same),
            (TopicState::Missing, Some("a"), News::Missing),
            (TopicState::Unknown("timed out".into()), Some("a"), News::Silent),
        ] {
            assert_eq!(judge(state.clone(), known), expected, "{state:?} {known:?}");
        }
    }

    #[test]
    fn offsets_that_are_not_there() {
        for (next, bounds, expected) in [
            (5, (9, 20), Offsets::Gap(9)),
            (5, (9, 9), Offsets::Gap(9)),
            (5, (0, 3), Offsets::Shorter),
            (5, (0, 5), Offsets::Fine),
            (5, (5, 9), Offsets::Fine),
        ] {
            assert_eq!(judge_offsets(next, bounds), expected, "{next} {bounds:?}");
        }
    }
}
