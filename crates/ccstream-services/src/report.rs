//! This module passes the events of a run to its observers.

use std::fmt;

/// A function that receives events.
type Observer<'o, E> = Box<dyn FnMut(&E) + 'o>;

/// Holds the observers of a run. Each receives every event; they are called in the order in which they were added.
#[must_use]
pub struct Observers<'o, E> {
    each: Vec<Observer<'o, E>>,
}

impl<E> Default for Observers<'_, E> {
    fn default() -> Self {
        Self { each: Vec::new() }
    }
}

impl<E> fmt::Debug for Observers<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("each", &self.each.len()).finish()
    }
}

impl<'o, E> Observers<'o, E> {
    /// Adds an observer.
    pub fn with(mut self, observer: impl FnMut(&E) + 'o) -> Self {
        self.each.push(Box::new(observer));
        self
    }

    /// Passes an event to each observer.
    pub(crate) fn report(&mut self, event: &E) {
        self.each.iter_mut().for_each(|observer| observer(event));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn each_observer_receives_every_event_in_order() {
        let seen = RefCell::new(Vec::new());
        let mut observers = Observers::default()
            .with(|event: &u8| seen.borrow_mut().push(("first", *event)))
            .with(|event| seen.borrow_mut().push(("second", *event)));
        observers.report(&1);
        observers.report(&2);
        drop(observers);
        assert_eq!(seen.into_inner(), [("first", 1), ("second", 1), ("first", 2), ("second", 2)]);
    }
}
