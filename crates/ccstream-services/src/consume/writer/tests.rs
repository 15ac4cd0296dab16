//! These tests run the writer with a database in memory. They need no service.

use ccstream_core::batch::Cursor;
use ccstream_core::rejection::{Reason, Rejection};
use ccstream_core::settings::ConsumerConfig;

use super::super::memory::{Answer, Memory, Script};
use super::*;

/// Starts a writer with a scripted database.
fn writer(connections: usize, script: impl FnOnce(&mut Script)) -> (Writer, Memory) {
    let memory = Memory::default();
    script(&mut memory.script());
    (Writer::start(memory.clone(), connections).unwrap(), memory)
}

/// Returns sealed shares of two partitions. With two connections, each partition is in its own share.
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

/// Returns short descriptions of all replies up to the command's final one.
fn replies(writer: &Writer) -> Vec<String> {
    let mut received = Vec::new();
    loop {
        let reply = writer.reply(Duration::from_secs(20)).expect("the writer replies to every command");
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
        received.push(text);
        if is_last {
            return received;
        }
    }
}

#[test]
fn an_outage_is_reported_from_the_second_failure_on() {
    let (one, _) = writer(1, |script| script.prepares.extend([Answer::Passing]));
    one.send(Command::Prepare);
    assert_eq!(replies(&one), ["prepared"]);
    let (two, memory) = writer(1, |script| script.prepares.extend([Answer::Passing, Answer::Passing]));
    two.send(Command::Prepare);
    assert_eq!(replies(&two), ["waiting postgres_unavailable", "recovered", "prepared"]);
    assert_eq!(memory.script().opened, 3, "each attempt after an error uses a new session");
}

#[test]
fn each_share_is_written_once_in_its_own_session() {
    let (writer, memory) = writer(2, |script| drop(script.writes.insert(1, [Answer::Passing].into())));
    writer.send(Command::Write { generation: 0, shares: shares(2) });
    assert_eq!(replies(&writer), ["committed 1000", "committed 10", "written, None"]);
    let mut committed = memory.script().committed.clone();
    committed.sort_unstable();
    assert_eq!(committed.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(), [(0, 1_000), (1, 10)]);
    assert_ne!(committed[0].2, committed[1].2);
}

#[test]
fn a_commit_is_reported_before_the_error_of_another_connection() {
    let (writer, _) = writer(2, |script| drop(script.writes.insert(1, [Answer::Final].into())));
    writer.send(Command::Write { generation: 0, shares: shares(2) });
    assert_eq!(replies(&writer), ["committed 1000", "failed with 5"]);
}

#[test]
fn a_refused_additional_session_is_replaced_by_the_first() {
    let (writer, memory) = writer(2, |script| script.others.extend([Answer::Final, Answer::Final]));
    for expected in [
        vec!["committed 1000", "committed 10", "warning connection_refused", "written, None"],
        // The session is requested again only after a minute, and there is only one warning.
        vec!["committed 1000", "committed 10", "written, None"],
    ] {
        writer.send(Command::Write { generation: 0, shares: shares(2) });
        assert_eq!(replies(&writer), expected);
    }
    let script = memory.script();
    assert_eq!((script.opened, script.others.len()), (1, 1));
}

#[test]
fn a_refused_share_does_not_stop_the_other() {
    let (writer, memory) = writer(2, |script| drop(script.writes.insert(0, [Answer::Moved].into())));
    writer.send(Command::Write { generation: 0, shares: shares(2) });
    assert_eq!(replies(&writer), ["committed 10", "written, Some(Moved { partition: 0 })"]);
    assert_eq!(memory.script().committed.iter().map(|one| one.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_command_of_an_earlier_generation_is_not_begun() {
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
fn time_in_which_the_process_was_stopped_does_not_count_as_silence() {
    let limit = Duration::from_millis(400);
    let answer = |stopped: Duration, silent: Duration| async move {
        // Blocking the only thread has the effect of a process that is stopped.
        std::thread::sleep(stopped);
        tokio::time::sleep(silent).await;
        7
    };
    let answered = |stopped, silent| {
        crate::runtime().unwrap().block_on(async {
            let attempt = std::pin::pin!(answer(stopped, silent));
            answer_within(limit, attempt).await
        })
    };
    for stopped in [limit / 2, limit, limit + limit / 20, 3 * limit] {
        assert_eq!(answered(stopped, limit / 5), Some(7), "stopped for {stopped:?}");
    }
    assert_eq!(answered(Duration::ZERO, Duration::ZERO), Some(7));
    assert_eq!(answered(Duration::ZERO, 20 * limit), None);
}

#[test]
fn a_panic_ends_with_an_internal_error() {
    let (writer, _) = writer(1, |script| script.prepares.extend([Answer::Panic]));
    writer.send(Command::Prepare);
    assert_eq!(replies(&writer), ["failed with 70"]);
}
