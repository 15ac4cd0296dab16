//! Counts in windows of a fixed size. A pane is the time between two starts of windows, and a window is a row of panes.

use std::collections::BTreeSet;

use super::bucket::{Bucket, Entry, Group, Missed, WindowRow};
use super::cards::Cards;
use super::cell::{Cell, Totals};
use super::definition::{Definition, Measure};
use crate::key::Key;

/// Adds a transaction to its pane, which counts in those of its windows that are open.
pub(super) fn add(bucket: &mut Bucket, definition: &Definition, (size, hop): (i64, i64), entry: &Entry<'_>) -> Missed {
    let start = entry.time.div_euclid(hop) * hop;
    let windows = size / hop;
    // The windows of a pane end one hop after its start, two hops, and so on.
    let late = (entry.watermark.saturating_sub(start).max(0) / hop).min(windows);
    if late == windows {
        return Missed { late, no_room: 0 };
    }
    let has_room = bucket.has_room(definition);
    let no_room = Missed { late, no_room: windows - late };
    let Bucket { groups, cells, held, next_close, .. } = bucket;
    let place = |group: &Group| group.cells.binary_search_by_key(&start, |cell| cell.start);
    let group = match groups.get_mut(&entry.key) {
        Some(group) => group,
        None if !has_room => return no_room,
        None => groups.entry(entry.key).or_insert_with(|| entry.group()),
    };
    let at = match place(group) {
        Ok(at) => at,
        Err(_) if !has_room => return no_room,
        Err(at) => {
            group.cells.insert(at, Cell::new(start));
            *cells += 1;
            *next_close = (*next_close).min(start + (late + 1) * hop);
            at
        }
    };
    *held = Bucket::count(&mut group.cells[at], definition, entry, *held);
    Missed { late, no_room: 0 }
}

/// Closes the windows that end up to the watermark, and forgets the panes that belong to no other.
pub(super) fn close(bucket: &mut Bucket, definition: &Definition, (size, hop): (i64, i64), watermark: i64) {
    let Bucket { groups, closed, watermark: before, cells, held, next_close, .. } = bucket;
    *next_close = i64::MAX;
    groups.retain(|key, group| {
        for end in ends(&group.cells, (size, hop)).range(before.saturating_add(1)..=watermark) {
            closed.push(row(definition, *key, group, (end - size, *end), true));
        }
        group.cells.retain(|pane| {
            let is_open = pane.start + size > watermark;
            if !is_open {
                *cells -= 1;
                *held -= pane.cards.held();
            }
            is_open
        });
        for pane in &group.cells {
            let passed = watermark.saturating_sub(pane.start).max(0) / hop;
            *next_close = (*next_close).min(pane.start + (passed + 1) * hop);
        }
        !group.cells.is_empty()
    });
}

/// Adds the rows of open windows with panes that have changed.
pub(super) fn changed(bucket: &mut Bucket, definition: &Definition, shape: (i64, i64), rows: &mut Vec<WindowRow>) {
    let after = bucket.watermark.saturating_add(1);
    for (key, group) in &mut bucket.groups {
        let ends = ends(group.cells.iter().filter(|pane| pane.is_changed), shape);
        group.cells.iter_mut().for_each(|pane| pane.is_changed = false);
        for end in ends.range(after..) {
            rows.push(row(definition, *key, group, (end - shape.0, *end), false));
        }
    }
}

/// Returns the ends of all windows of panes.
fn ends<'a>(panes: impl IntoIterator<Item = &'a Cell>, (size, hop): (i64, i64)) -> BTreeSet<i64> {
    panes.into_iter().flat_map(|pane| (1..=size / hop).map(|number| pane.start + number * hop)).collect()
}

/// Adds up the panes of a window.
fn row(definition: &Definition, key: Key, group: &Group, (start, end): (i64, i64), is_closed: bool) -> WindowRow {
    let first = group.cells.partition_point(|pane| pane.start < start);
    let panes = group.cells[first..].iter().take_while(|pane| pane.start < end);
    let (mut totals, mut cards) = (Totals::default(), None::<Cards>);
    for pane in panes {
        totals.merge(&pane.totals);
        if definition.has(Measure::Cards) {
            match &mut cards {
                Some(cards) => cards.merge(&pane.cards),
                None => cards = Some(pane.cards.clone()),
            }
        }
    }
    let cards = cards.map_or((0, true), |cards| cards.count());
    WindowRow { start, end, key, values: group.values.clone(), totals, cards, is_closed }
}
