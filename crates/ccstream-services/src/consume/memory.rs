//! This module has a database in memory, for tests. A script decides how each call ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ccstream_core::batch::Batch;

use super::database::{Database, Session};
use crate::error::{Error, Result};
use crate::postgres::{Counters, Origin, Outcome, Position, Refusal, SchemaChange, TakeOver};

/// Tells how the next call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The call succeeds.
    Done,
    /// The call fails with a temporary error.
    Passing,
    /// The call fails with a permanent error.
    Final,
    /// The fence refuses the batch.
    Moved,
    /// The thread panics.
    Panic,
}

impl Answer {
    fn into_result(self) -> Result<()> {
        match self {
            Self::Passing => Err(Error::PostgresTimeout { context: "testing".into(), limit: Duration::ZERO }),
            Self::Final => Err(Error::Schema("no such table".into())),
            Self::Panic => panic!("the test's script makes the writer panic"),
            Self::Done | Self::Moved => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Script {
    /// How the next writes of each partition end. Later writes succeed.
    pub(super) writes: BTreeMap<i32, VecDeque<Answer>>,
    /// How the next attempts to open an additional session end. Later ones succeed.
    pub(super) others: VecDeque<Answer>,
    /// How the next attempts to create the tables end. Later ones succeed.
    pub(super) prepares: VecDeque<Answer>,
    /// The partition, the next offset and the session's number of each commit. A partition is taken over at its highest
    /// committed offset.
    pub(super) committed: Vec<(i32, i64, usize)>,
    /// Number of sessions that were opened.
    pub(super) opened: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Script>>);

pub(super) struct MemorySession {
    memory: Memory,
    number: usize,
}

impl Memory {
    pub(super) fn script(&self) -> std::sync::MutexGuard<'_, Script> {
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
        let script = self.memory.script();
        let next = |partition: i32| {
            script.committed.iter().filter(|one| one.0 == partition).map(|one| one.1).max().unwrap_or(0)
        };
        let positions = partitions.iter().map(|partition| (*partition, position(next(*partition)))).collect();
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

    async fn release(&mut self, _owned: &BTreeMap<i32, i64>) -> Result<()> {
        Ok(())
    }

    async fn fail(self, error: Error) -> Error {
        error
    }
}

fn position(next_offset: i64) -> Position {
    Position { epoch: 1, next_offset, counters: Counters::default() }
}
