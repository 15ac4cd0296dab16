//! This module checks whether the topic is still the one that is read, and whether it has the next offsets.

use std::time::{Duration, Instant};

use super::group::Group;
use crate::kafka::ffi::{TopicIds, TopicState};

/// Interval at which the topic's id is queried to find out whether the topic was recreated.
const QUERY_EVERY: Duration = Duration::from_secs(10);
/// Pause before a query whose answer something depends on. It limits the rate of queries to a broker whose answers
/// change from one to the next.
const QUERY_SOON: Duration = Duration::from_millis(50);
/// Pause before the query is repeated, if its answer did not help.
const QUERY_AGAIN: Duration = Duration::from_millis(500);

/// Tells what has happened to the topic since its id was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// The topic has the same id.
    Same,
    /// The topic has this id, which differs from the previous one or is the first that is known.
    Changed(String),
    /// The topic does not exist.
    Missing,
    /// The broker did not answer, or its answer does not describe the topic.
    Silent,
}

/// Holds an answer of the broker.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) news: News,
    /// Whether something depends on the answer.
    pub(super) is_needed: bool,
    /// When the query was sent.
    pub(super) asked: Instant,
}

/// Queries the topic's id at intervals, and at once if something depends on it.
#[derive(Debug)]
pub(super) struct Watch {
    ids: TopicIds<Group>,
    /// The topic's id in its last answer. Partitions are taken over under this id.
    id: Option<String>,
    /// Since when an answer is needed. None while nothing depends on one.
    needed: Option<Instant>,
    /// When the last query was sent.
    queried: Instant,
}

impl Watch {
    pub(super) fn new(ids: TopicIds<Group>) -> Self {
        Self { ids, id: None, needed: None, queried: Instant::now() }
    }

    /// Returns the topic's id, if it is known.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns whether something depends on an answer that has not come yet.
    pub(super) fn is_needed(&self) -> bool {
        self.needed.is_some()
    }

    /// Requests an answer to a query that is sent from now on. An answer to an earlier query does not count.
    pub(super) fn need(&mut self) {
        self.needed = Some(Instant::now());
    }

    fn is_due(&self) -> bool {
        match self.needed {
            // The first query after the request is sent soon. Later ones are retries.
            Some(needed) => self.queried.elapsed() >= if needed > self.queried { QUERY_SOON } else { QUERY_AGAIN },
            None => self.queried.elapsed() >= QUERY_EVERY,
        }
    }

    /// Sends a query if one is due, and returns an answer if there is one. Never waits.
    pub(super) fn look(&mut self) -> Option<Answer> {
        if !self.ids.is_asking() && self.is_due() {
            self.queried = Instant::now();
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

/// Compares the topic's state with the id that is known.
fn judge(state: TopicState, known: Option<&str>) -> News {
    match state {
        TopicState::There(Some(id)) if known == Some(&id) => News::Same,
        TopicState::There(Some(id)) => News::Changed(id),
        TopicState::There(None) => News::Same,
        TopicState::Missing => News::Missing,
        TopicState::Unknown(_) => News::Silent,
    }
}

/// Tells how a partition's log relates to its next offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offsets {
    /// The log has the next offset, or ends exactly there.
    Fine,
    /// The log begins after the next offset, at this one: retention deleted the messages before it.
    Gap(i64),
    /// The log ends before the next offset.
    Shorter,
}

/// Compares a partition's next offset with the beginning and the end of its log.
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
    fn a_topic_is_compared_with_the_id_that_is_known() {
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
    fn a_next_offset_is_compared_with_the_log() {
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
