//! Tests of the warning about skipped messages, and of the end of the thread.

use super::*;

fn skipped(count: i64) -> Vec<Skipped> {
    (0..count).map(|at| Skipped { partition: 0, offset: 100 + at, why: format!("reason {at}") }).collect()
}

#[test]
fn a_warning_counts_all_and_names_the_first_ones() {
    assert_eq!(of_skipped("t", &[]), None);
    let mut two = skipped(2);
    two.push(Skipped { partition: 3, offset: 7, why: "other".into() });
    let warning = of_skipped("t", &two).unwrap();
    assert_eq!(
        warning.text,
        "topic \"t\": 3 messages cannot be stored in the table truth and were skipped: offset 100, 101 of partition 0; \
         offset 7 of partition 3 (offset 100: reason 0)"
    );
    assert_eq!((warning.kind, warning.partitions), (WarningKind::TruthSkipped, BTreeSet::from([0, 3])));
    let many = of_skipped("t", &skipped(1000)).unwrap();
    assert!(many.text.contains(": 1000 messages") && many.text.contains("; and 980 more (offset 100"), "{}", many.text);
    assert!(many.text.contains(", 119 of") && !many.text.contains("120 of"), "{}", many.text);
}

fn task(work: impl FnOnce(mpsc::Sender<News>) + Send + 'static) -> TruthTask {
    let (sender, news) = mpsc::channel();
    let thread = Some(std::thread::spawn(move || work(sender)));
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    TruthTask { news, stop, abandon, thread, caught_up: false, ended: None }
}

#[test]
fn a_thread_that_panics_is_an_error_once() {
    let long = Duration::from_secs(60);
    let mut task = task(|sender| {
        sender.send(News::CaughtUp).unwrap();
        panic!("this panic is part of a test");
    });
    assert!(!task.is_caught_up());
    assert!(matches!(task.news(long), Some(News::CaughtUp)));
    assert!(task.is_caught_up());
    assert!(matches!(task.news(long), Some(News::Failed(error)) if error.is_inconsistent()));
    assert!(task.news(long).is_none());
    assert_eq!(task.ended, Some(false));
}

#[test]
fn the_end_is_the_last_news() {
    let mut task = task(|sender| sender.send(News::Ended(true)).unwrap());
    assert!(matches!(task.news(Duration::from_secs(60)), Some(News::Ended(true))));
    assert!(task.news(Duration::from_secs(60)).is_none());
    assert_eq!(task.ended, Some(true));
}

#[test]
fn no_thread_starts_without_the_setting() {
    assert!(TruthTask::start(&ConsumerConfig::default()).unwrap().is_none());
}
