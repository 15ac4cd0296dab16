//! The writer over a database in memory that answers as a test has scripted it: no service, milliseconds each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use ccstream_core::batch::{Batch, Cursor};
use ccstream_core::rejection::{Reason, Rejection};
use ccstream_core::settings::ConsumerConfig;

use super::*;
use crate::postgres::{Counters, Position, Refusal};

/// How the next call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// As it should.
    Done,
    /// With an error that passes.
    Passing,
    /// With one that does not.
    Final,
    /// With a refusal by the fence.
    Moved,
    /// Not at all: the thread panics.
    Panic,
}

impl Answer {
    fn into_result(self) -> Result<()> {
        match self {
            Self::Passing => Err(Error::PostgresTimeout { context: "testing".into(), limit: Duration::ZERO }),
            Self::Final => Err(Error::Schema("no such table".into())),
            Self::Panic => panic!("a test wants this"),
            Self::Done | Self::Moved => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct Script {
    /// By partition, how the next writes end; after them, all are done.
    writes: BTreeMap<i32, VecDeque<Answer>>,
    /// The same for sessions after the first.
    others: VecDeque<Answer>,
    prepares: VecDeque<Answer>,
    /// What was committed: partition, offset after it, and by which session.
    committed: Vec<(i32, i64, usize)>,
    /// Sessions that were opened.
    opened: usize,
}

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Script>>);

struct MemorySession {
    memory: Memory,
    number: usize,
}

impl Memory {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn open(&self) -> MemorySession {
        let mut script = self.script();
        script.opened += 1;
        MemorySession { memory: self.clone(), number: script.opened }
    }
}

impl Database for Memory {
    type Session = MemorySession;

    async fn first(&self) -> Result<MemorySession> {
        Ok(self.open())
    }

    async fn another(&self) -> Result<MemorySession> {
        let answer = self.script().others.pop_front().unwrap_or(Answer::Done);
        answer.into_result().map(|()| self.open())
    }
}

impl Session for MemorySession {
    async fn ensure_schema(&mut self) -> Result<SchemaChange> {
        let answer = self.memory.script().prepares.pop_front().unwrap_or(Answer::Done);
        answer.into_result().map(|()| SchemaChange::default())
    }

    async fn take_over(
        &mut self,
        partitions: &[i32],
        _origin: &Origin,
        _start_over: bool,
        is_wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<TakeOver>> {
        let positions = partitions.iter().map(|partition| (*partition, position(0))).collect();
        Ok(is_wanted().then(|| TakeOver { positions, ..TakeOver::default() }))
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<Outcome> {
        let advances = batch.advances();
        let mut script = self.memory.script();
        for partition in advances.keys() {
            match script.writes.get_mut(partition).and_then(VecDeque::pop_front).unwrap_or(Answer::Done) {
                Answer::Moved => return Ok(Outcome::Refused(Refusal::Moved { partition: *partition })),
                answer => answer.into_result()?,
            }
        }
        script.committed.extend(advances.iter().map(|(partition, advance)| (*partition, advance.to, self.number)));
        Ok(Outcome::Committed(advances.iter().map(|(partition, advance)| (*partition, position(advance.to))).collect()))
    }

    async fn fail(self, error: Error) -> Error {
        error
    }
}

fn position(next_offset: i64) -> Position {
    Position { epoch: 1, next_offset, counters: Counters::default() }
}

/// A writer over a scripted database.
fn writer(connections: usize, script: impl FnOnce(&mut Script)) -> (Writer, Memory) {
    let memory = Memory::default();
    script(&mut memory.script());
    (Writer::start(memory.clone(), connections).unwrap(), memory)
}

/// Shares of two partitions, of which each connection has one where there are two.
fn shares(connections: usize) -> Shares {
    let mut shares = Shares::new(&ConsumerConfig { connections, ..ConsumerConfig::default() });
    for (partition, messages) in [(0, 1_000), (1, 10)] {
        let mut cursor = Cursor { epoch: 1, next: 0 };
        for offset in 0..messages {
            let bad = Err(Rejection::new(Reason::InvalidJson, ""));
            shares.batch_of(partition).push((partition, offset), &mut cursor, None, Some(b"?"), bad);
        }
    }
    shares.seal();
    shares
}

/// Every reply until the one that ends the command; each in short.
fn replies(writer: &Writer) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let reply = writer.reply(Duration::from_secs(20)).expect("it answers every command");
        let (text, is_last) = match reply {
            Reply::Prepared(_) => ("prepared".into(), true),
            Reply::TakenOver { taken, .. } => (format!("taken over {:?}", taken.positions.keys()), true),
            Reply::Committed(receipt) => (format!("committed {}", receipt.counted().consumed), false),
            Reply::Written { shares, .. } => (format!("written, {:?}", shares.refusal()), true),
            Reply::Waiting(waiting) => (format!("waiting {}", waiting.kind.as_str()), false),
            Reply::Recovered { .. } => ("recovered".into(), false),
            Reply::Connected => ("connected".into(), true),
            Reply::Warning(warning) => (format!("warning {}", warning.kind.as_str()), false),
            Reply::Outdated(shares) => (format!("outdated, shares: {}", shares.is_some()), true),
            Reply::Failed(error) => (format!("failed with {}", error.exit_code()), true),
        };
        told.push(text);
        if is_last {
            return told;
        }
    }
}

#[test]
fn a_first_failure_is_not_reported_and_a_second_is_until_it_is_over() {
    let (one, _) = writer(1, |script| script.prepares.extend([Answer::Passing]));
    one.send(Command::Prepare);
    assert_eq!(replies(&one), ["prepared"]);
    let (two, memory) = writer(1, |script| script.prepares.extend([Answer::Passing, Answer::Passing]));
    two.send(Command::Prepare);
    assert_eq!(replies(&two), ["waiting postgres_unavailable", "recovered", "prepared"]);
    assert_eq!(memory.script().opened, 3, "after an error, each try has another session");
}

#[test]
fn each_share_goes_by_another_session_and_is_written_once() {
    let (writer, memory) = writer(2, |script| drop(script.writes.insert(1, [Answer::Passing].into())));
    writer.send(Command::Write { generation: 0, shares: shares(2) });
    let told = replies(&writer);
    assert_eq!(told, ["committed 1000", "committed 10", "written, None"]);
    let mut committed = memory.script().committed.clone();
    committed.sort_unstable();
    assert_eq!(committed.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(), [(0, 1_000), (1, 10)]);
    assert_ne!(committed[0].2, committed[1].2);
}

#[test]
fn what_one_has_committed_is_known_before_the_others_error() {
    let (writer, _) = writer(2, |script| drop(script.writes.insert(1, [Answer::Final].into())));
    writer.send(Command::Write { generation: 0, shares: shares(2) });
    assert_eq!(replies(&writer), ["committed 1000", "failed with 5"]);
}

#[test]
fn a_further_session_that_is_refused_is_done_without() {
    let (writer, memory) = writer(2, |script| script.others.extend([Answer::Final, Answer::Final]));
    for expected in [
        vec!["committed 1000", "committed 10", "warning connection_refused", "written, None"],
        // It is asked for again only after a minute, and warned of once.
        vec!["committed 1000", "committed 10", "written, None"],
    ] {
        writer.send(Command::Write { generation: 0, shares: shares(2) });
        assert_eq!(replies(&writer), expected);
    }
    let script = memory.script();
    assert_eq!((script.opened, script.others.len()), (1, 1));
}

#[test]
fn a_refused_share_is_named_and_the_other_is_written() {
    let (writer, memory) = writer(2, |script| drop(script.writes.insert(0, [Answer::Moved].into())));
    writer.send(Command::Write { generation: 0, shares: shares(2) });
    assert_eq!(replies(&writer), ["committed 10", "written, Some(Moved { partition: 0 })"]);
    assert_eq!(memory.script().committed.iter().map(|one| one.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_is_of_an_earlier_generation_is_not_begun() {
    let (writer, memory) = writer(1, |_| {});
    writer.set_generation(7);
    writer.send(Command::Write { generation: 6, shares: shares(1) });
    assert_eq!(replies(&writer), ["outdated, shares: true"]);
    let take_over = |generation| Command::TakeOver {
        generation,
        partitions: vec![3],
        origin: Origin { cluster_id: None, topic_id: None },
        start_over: false,
    };
    writer.send(take_over(6));
    assert_eq!(replies(&writer), ["outdated, shares: false"]);
    writer.send(take_over(7));
    assert_eq!(replies(&writer), ["taken over [3]"]);
    writer.send(Command::Connect);
    assert_eq!(replies(&writer), ["connected"]);
    let script = memory.script();
    assert_eq!((script.opened, script.committed.len()), (1, 0));
}

#[test]
fn a_panic_is_an_inconsistency() {
    let (writer, _) = writer(1, |script| script.prepares.extend([Answer::Panic]));
    writer.send(Command::Prepare);
    assert_eq!(replies(&writer), ["failed with 70"]);
}
