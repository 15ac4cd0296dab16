//! The writer over a database in memory: no service, milliseconds each.

use ccstream_core::batch::Cursor;
use ccstream_core::rejection::{Reason, Rejection};
use ccstream_core::settings::ConsumerConfig;

use super::super::memory::{Answer, Memory, Script};
use super::*;

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
fn time_in_which_the_process_was_stopped_is_no_silence() {
    let limit = Duration::from_millis(400);
    let answer = |stopped: Duration, silent: Duration| async move {
        // Nothing runs meanwhile, as in a process that is stopped.
        std::thread::sleep(stopped);
        tokio::time::sleep(silent).await;
        7
    };
    let heard = |stopped, silent| {
        crate::runtime().unwrap().block_on(async {
            let attempt = std::pin::pin!(answer(stopped, silent));
            heard_within(limit, attempt).await
        })
    };
    for stopped in [limit / 2, limit, limit + limit / 20, 3 * limit] {
        assert_eq!(heard(stopped, limit / 5), Some(7), "stopped for {stopped:?}");
    }
    assert_eq!(heard(Duration::ZERO, Duration::ZERO), Some(7));
    assert_eq!(heard(Duration::ZERO, 20 * limit), None);
}

#[test]
fn a_panic_is_an_inconsistency() {
    let (writer, _) = writer(1, |script| script.prepares.extend([Answer::Panic]));
    writer.send(Command::Prepare);
    assert_eq!(replies(&writer), ["failed with 70"]);
}
