//! Counts in sessions: transactions of a key of which each follows the one before within the gap.
//!
//! A session ends a gap after its last transaction. A transaction at that very moment still belongs to it, as in Apache
//! Flink and Kafka Streams.

use super::bucket::{Bucket, Entry, Group, Missed, WindowRow};
use super::cell::Cell;
use super::definition::Definition;
use crate::key::Key;

/// Adds a transaction to the session that it touches, or begins one. A transaction may join two sessions. None becomes
/// longer than `longest`.
pub(super) fn add(
    bucket: &mut Bucket,
    definition: &Definition,
    (gap, longest): (i64, i64),
    entry: &Entry<'_>,
) -> Missed {
    let time = entry.time;
    if time + gap < entry.watermark {
        return Missed { late: 1, no_room: 0 };
    }
    let has_room = bucket.has_room(definition);
    let no_room = Missed { late: 0, no_room: 1 };
    let Bucket { groups, gone, cells, held, next_close, .. } = bucket;
    let key = entry.key;
    let group = match groups.get_mut(&key) {
        Some(group) => group,
        None if !has_room => return no_room,
        None => groups.entry(key).or_insert_with(|| entry.group()),
    };
    let is_touched = |session: &Cell| {
        (session.start - gap..=session.last + gap).contains(&time)
            && session.last.max(time) - session.start.min(time) <= longest
    };
    let at = match group.cells.iter().position(is_touched) {
        Some(at) => at,
        None if !has_room => return no_room,
        None => {
            let at = group.cells.partition_point(|session| session.start < time);
            group.cells.insert(at, Cell::new(time));
            *cells += 1;
            *next_close = (*next_close).min(time + gap + 1);
            at
        }
    };
    let session = &mut group.cells[at];
    if time < session.start {
        gone.push((session.start, key));
        session.start = time;
    }
    session.last = session.last.max(time);
    *held = Bucket::count(session, definition, entry, *held);
    // The session may have come within the gap of its neighbours.
    while let Some(next) = [at, at.wrapping_sub(1)].into_iter().find(|one| joins(&group.cells, *one, gap, longest)) {
        let later = group.cells.remove(next + 1);
        gone.push((later.start, key));
        *cells -= 1;
        *held -= later.cards.held();
        let earlier = &mut group.cells[next];
        *held -= earlier.cards.held();
        earlier.last = earlier.last.max(later.last);
        earlier.totals.merge(&later.totals);
        earlier.cards.merge(&later.cards);
        earlier.is_changed = true;
        *held += earlier.cards.held();
        if next != at {
            break;
        }
    }
    Missed::default()
}

/// Returns whether a session and the one after it are one.
fn joins(sessions: &[Cell], at: usize, gap: i64, longest: i64) -> bool {
    match sessions.get(at..).unwrap_or_default() {
        [earlier, later, ..] => {
            later.start - earlier.last <= gap && later.last.max(earlier.last) - earlier.start <= longest
        }
        _ => false,
    }
}

/// Closes the sessions that ended before the watermark.
pub(super) fn close(bucket: &mut Bucket, gap: i64, watermark: i64) {
    let Bucket { groups, closed, cells, held, next_close, .. } = bucket;
    *next_close = i64::MAX;
    groups.retain(|key, group| {
        let Group { values, cells: sessions } = group;
        sessions.retain(|session| {
            let is_open = session.last + gap >= watermark;
            if is_open {
                *next_close = (*next_close).min(session.last + gap + 1);
            } else {
                closed.push(row(*key, values, session, gap, true));
                *cells -= 1;
                *held -= session.cards.held();
            }
            is_open
        });
        !sessions.is_empty()
    });
}

/// Adds the rows of open sessions that have changed.
pub(super) fn changed(bucket: &mut Bucket, gap: i64, rows: &mut Vec<WindowRow>) {
    for (key, Group { values, cells }) in &mut bucket.groups {
        for session in cells.iter_mut().filter(|session| session.is_changed) {
            session.is_changed = false;
            rows.push(row(*key, values, session, gap, false));
        }
    }
}

fn row(key: Key, values: &[u8], session: &Cell, gap: i64, is_closed: bool) -> WindowRow {
    let end = session.last + gap;
    let (totals, cards) = (session.totals, session.cards.count());
    WindowRow { start: session.start, end, key, values: values.into(), totals, cards, is_closed }
}
