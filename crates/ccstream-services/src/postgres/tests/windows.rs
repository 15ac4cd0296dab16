//! Tests of the tables of windows.

use std::sync::Arc;

use super::*;
use crate::postgres::analysis::{CountedWindow, MissedRow, WindowsBatch};
use ccstream_analysis::windows::{Flushed, Missed, parse};

#[test]
fn what_is_written_again_after_a_lost_answer_counts_once() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.analysis(1);
    let epoch = sandbox.claim(&mut store).unwrap().epoch;
    let text = "[[window]]\nname = \"minute\"\nsize = \"1m\"\nmeasures = [\"count\"]";
    let definition = Arc::new(parse(text).right.remove(0));
    sandbox.runtime.block_on(store.begin_window(epoch, &definition, false)).unwrap().unwrap();
    let mut follow = |seq, counted| {
        let missed = MissedRow { name: "minute".into(), version: 1, day: 0, missed: Missed { late: 2, no_room: 1 } };
        let one = CountedWindow {
            definition: Arc::clone(&definition),
            version: 1,
            flushed: Flushed::default(),
            parts: Vec::new(),
            unchanged: Vec::new(),
            seq,
            reached: None,
            counted,
            lacking: 3,
        };
        let batch = WindowsBatch { missed: vec![missed], counted: vec![one], followed: Some(seq) };
        assert!(sandbox.runtime.block_on(store.write_windows(epoch, &batch)).unwrap());
        let number = |query| sandbox.number(query);
        [number("SELECT late FROM windows_late"), number("SELECT lacking FROM windows")]
    };
    assert_eq!([follow(7, Some(7)), follow(7, Some(7))], [[2, 3]; 2]);
    // The window joins the analysis.
    assert_eq!([follow(9, None), follow(9, None)], [[4, 6]; 2]);
}
