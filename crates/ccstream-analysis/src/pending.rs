//! This module holds labels until they are due: until the time of the events has reached the time of the label, and the
//! label's transaction has been seen.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ccstream_core::event::Micros;
use ccstream_core::label::Label;
use hashbrown::HashMap;

/// Maximum number of labels that are held although their transaction has not been seen when they were due.
const MAX_OVERDUE: usize = 100_000;

/// Holds labels, and what is known of their transactions.
///
/// ```
/// use ccstream_analysis::pending::Pending;
/// use ccstream_core::event::Micros;
/// use ccstream_core::label::Label;
/// let label = Label { labelled_at: Micros(9), transaction_id: "a".into(), source: String::new(), is_fraud: true };
/// let mut pending = Pending::default();
/// pending.add(label.clone(), None);
/// assert!(pending.saw("a", 'x').is_empty());
/// assert_eq!(pending.next(Micros(8)), None);
/// assert_eq!(pending.next(Micros(9)), Some((label, 'x')));
/// ```
#[derive(Debug)]
pub struct Pending<K> {
    /// The labels that are not due, the earliest first.
    waiting: BinaryHeap<Reverse<Label>>,
    /// The transactions that these labels and the overdue ones are about.
    transactions: HashMap<String, Entry<K>>,
    /// The ids of overdue labels, the oldest first. An id may have been served meanwhile.
    overdue: VecDeque<String>,
    held: usize,
    forgotten: u64,
}

#[derive(Debug)]
struct Entry<K> {
    known: Option<K>,
    /// Number of labels that are not due.
    waiting: usize,
    /// Labels that are due, and wait for the transaction.
    overdue: Vec<Label>,
}

impl<K> Default for Pending<K> {
    fn default() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            transactions: HashMap::new(),
            overdue: VecDeque::new(),
            held: 0,
            forgotten: 0,
        }
    }
}

impl<K: Copy> Pending<K> {
    /// Adds a label, with what is known of its transaction if that was seen.
    pub fn add(&mut self, label: Label, known: Option<K>) {
        let entry = self.transactions.entry(label.transaction_id.clone());
        let entry = entry.or_insert(Entry { known: None, waiting: 0, overdue: Vec::new() });
        entry.known = known.or(entry.known);
        entry.waiting += 1;
        self.waiting.push(Reverse(label));
    }

    /// Notes that a transaction is seen. Returns its labels that are overdue.
    pub fn saw(&mut self, id: &str, known: K) -> Vec<Label> {
        let Some(entry) = self.transactions.get_mut(id) else { return Vec::new() };
        entry.known = Some(known);
        let overdue = std::mem::take(&mut entry.overdue);
        self.held -= overdue.len();
        if entry.waiting == 0 {
            self.transactions.remove(id);
        }
        overdue
    }

    /// Takes the earliest label that is due at a time and whose transaction was seen.
    pub fn next(&mut self, now: Micros) -> Option<(Label, K)> {
        while self.waiting.peek().is_some_and(|Reverse(label)| label.labelled_at <= now) {
            let Reverse(label) = self.waiting.pop()?;
            let entry = self.transactions.get_mut(&label.transaction_id)?;
            entry.waiting -= 1;
            if let Some(known) = entry.known {
                if entry.waiting == 0 {
                    self.transactions.remove(&label.transaction_id);
                }
                return Some((label, known));
            }
            self.overdue.push_back(label.transaction_id.clone());
            self.held += 1;
            entry.overdue.push(label);
            self.limit();
        }
        None
    }

    /// Returns the number of labels that are held.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.held
    }

    /// Returns whether no label is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of labels that are no longer held because too many were overdue.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Forgets the oldest overdue labels beyond the limit.
    fn limit(&mut self) {
        while self.overdue.len() > MAX_OVERDUE {
            let Some(id) = self.overdue.pop_front() else { break };
            let Some(entry) = self.transactions.get_mut(&id) else { continue };
            // Ids of labels that were served meanwhile are still in the list.
            let count = entry.overdue.len();
            entry.overdue.clear();
            (self.held, self.forgotten) = (self.held - count, self.forgotten + count as u64);
            if entry.waiting == 0 {
                self.transactions.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: &str, at: i64) -> Label {
        Label { labelled_at: Micros(at), transaction_id: id.into(), source: "s".into(), is_fraud: true }
    }

    #[test]
    fn labels_come_in_the_order_of_their_times() {
        let mut pending = Pending::default();
        for (id, at) in [("b", 30), ("a", 10), ("c", 20), ("b", 20)] {
            pending.add(label(id, at), Some(id.len()));
        }
        let mut taken = Vec::new();
        for now in [5, 20, 40] {
            while let Some((label, _)) = pending.next(Micros(now)) {
                taken.push((now, label.transaction_id, label.labelled_at.0));
            }
        }
        let expected = [(20, "a", 10), (20, "b", 20), (20, "c", 20), (40, "b", 30)];
        assert_eq!(taken, expected.map(|(now, id, at)| (now, id.to_owned(), at)));
        assert!(pending.is_empty() && pending.transactions.is_empty());
    }

    #[test]
    fn an_overdue_label_waits_for_its_transaction() {
        let mut pending = Pending::default();
        pending.add(label("a", 10), None);
        pending.add(label("a", 50), None);
        assert_eq!(pending.next(Micros(20)), None);
        assert_eq!(pending.len(), 2);
        assert_eq!(pending.saw("a", 'x'), [label("a", 10)]);
        assert_eq!(pending.saw("a", 'y'), []);
        assert_eq!(pending.next(Micros(60)), Some((label("a", 50), 'y')));
        assert!(pending.is_empty() && pending.transactions.is_empty());
    }

    #[test]
    fn overdue_labels_are_limited() {
        let mut pending: Pending<()> = Pending::default();
        for number in 0..MAX_OVERDUE + 10 {
            pending.add(label(&format!("{number:07}"), 1), None);
        }
        assert_eq!(pending.next(Micros(1)), None);
        assert_eq!((pending.len(), pending.forgotten()), (MAX_OVERDUE, 10));
        assert_eq!(pending.saw("0000009", ()), []);
        assert_eq!(pending.saw("0000010", ()).len(), 1);
        assert_eq!(pending.transactions.len(), MAX_OVERDUE - 1);
    }
}
