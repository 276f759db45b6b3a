//! Who waits for which work item: first come, first served, inside one process.
//!
//! Only the first of each line is looked at; a line nobody stands in does not exist.

use std::collections::{BTreeMap, VecDeque};

/// Lines of waiters, one a work item.
#[derive(Debug)]
pub(crate) struct WaitList<W> {
    lines: BTreeMap<String, VecDeque<W>>,
}

impl<W> WaitList<W> {
    pub(crate) const fn new() -> Self {
        Self {
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether somebody waits for the work item.
    pub(crate) fn has_line(&self, work_id: &str) -> bool {
        self.lines.contains_key(work_id)
    }

    /// The waiter goes to the end of the line.
    pub(crate) fn join(&mut self, work_id: &str, waiter: W) {
        match self.lines.get_mut(work_id) {
            Some(line) => line.push_back(waiter),
            None => {
                self.lines.insert(work_id.to_owned(), VecDeque::from([waiter]));
            }
        }
    }

    /// The waiter was first and could not be served after all.
    pub(crate) fn rejoin(&mut self, work_id: &str, waiter: W) {
        self.lines
            .entry(work_id.to_owned())
            .or_default()
            .push_front(waiter);
    }

    /// Takes the waiters that no longer want to wait out of all lines.
    pub(crate) fn take_if(&mut self, mut is_done: impl FnMut(&W) -> bool) -> Vec<W> {
        let mut taken = Vec::new();
        self.lines.retain(|_, line| {
            for waiter in std::mem::take(line) {
                if is_done(&waiter) {
                    taken.push(waiter);
                } else {
                    line.push_back(waiter);
                }
            }
            !line.is_empty()
        });
        taken
    }

    /// Takes the first of every line that can be served now.
    pub(crate) fn take_first_if(&mut self, mut can_be_served: impl FnMut(&str, &W) -> bool) -> Vec<W> {
        let mut taken = Vec::new();
        self.lines.retain(|work_id, line| {
            if line.front().is_some_and(|first| can_be_served(work_id, first)) {
                taken.extend(line.pop_front());
            }
            !line.is_empty()
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_served_in_order_and_one_at_a_time() {
        let mut list = WaitList::new();
        for waiter in [1, 2, 3] {
            list.join("work", waiter);
        }
        list.join("other", 9);
        assert_eq!(list.take_first_if(|work_id, _| work_id == "work"), [1]);
        assert_eq!(list.take_first_if(|_, _| true), [9, 2]);
        assert!(!list.has_line("other"));
        assert_eq!(list.take_first_if(|_, _| true), [3]);
        assert!(list.is_empty());
    }

    #[test]
    fn who_could_not_be_served_stays_first() {
        let mut list = WaitList::new();
        list.join("work", 1);
        list.join("work", 2);
        let first = list.take_first_if(|_, _| true).remove(0);
        list.rejoin("work", first);
        assert_eq!(list.take_first_if(|_, _| true), [1]);
    }

    #[test]
    fn who_gives_up_leaves_wherever_it_stands() {
        let mut list = WaitList::new();
        for waiter in [1, 2, 3] {
            list.join("work", waiter);
        }
        assert_eq!(list.take_if(|waiter| waiter % 2 == 1), [1, 3]);
        assert_eq!(list.take_first_if(|_, _| true), [2]);
    }
}
