//! Who waits for which work item: first come, first served, inside one process.
//!
//! Only the first of each line is looked at; a line nobody stands in does not exist.

use std::collections::{BTreeMap, VecDeque};

/// Somebody who can stand in a line.
pub(crate) trait Waiter {
    /// The work item; `None` if it does not wait, or no longer.
    fn waits_for(&self) -> Option<&str>;
}

/// Lines of waiters, one a work item.
#[derive(Debug)]
pub(crate) struct WaitList<W> {
    lines: BTreeMap<String, VecDeque<W>>,
}

impl<W: Waiter> WaitList<W> {
    pub(crate) const fn new() -> Self {
        Self {
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The waiter goes to the end of its line.
    pub(crate) fn join(&mut self, waiter: W) {
        self.line_of(&waiter).push_back(waiter);
    }

    /// The waiter was first and could not be served after all.
    pub(crate) fn rejoin(&mut self, waiter: W) {
        self.line_of(&waiter).push_front(waiter);
    }

    fn line_of(&mut self, waiter: &W) -> &mut VecDeque<W> {
        let work_id = waiter.waits_for().unwrap_or_default().to_owned();
        self.lines.entry(work_id).or_default()
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
    pub(crate) fn take_first_if(&mut self, mut can_be_served: impl FnMut(&W) -> bool) -> Vec<W> {
        let mut taken = Vec::new();
        self.lines.retain(|_, line| {
            if line.front().is_some_and(&mut can_be_served) {
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

    #[derive(Debug, PartialEq)]
    struct Person(&'static str, u32);

    impl Waiter for Person {
        fn waits_for(&self) -> Option<&str> {
            Some(self.0)
        }
    }

    fn numbers(people: Vec<Person>) -> Vec<u32> {
        people.into_iter().map(|Person(_, number)| number).collect()
    }

    fn three_and_one() -> WaitList<Person> {
        let mut list = WaitList::new();
        for number in [1, 2, 3] {
            list.join(Person("work", number));
        }
        list.join(Person("other", 9));
        list
    }

    #[test]
    fn a_line_is_served_in_order_and_one_at_a_time() {
        let mut list = three_and_one();
        assert_eq!(numbers(list.take_first_if(|first| first.0 == "work")), [1]);
        assert_eq!(numbers(list.take_first_if(|_| true)), [9, 2]);
        assert_eq!(numbers(list.take_first_if(|_| true)), [3]);
        assert!(list.is_empty());
    }

    #[test]
    fn who_could_not_be_served_stays_first() {
        let mut list = three_and_one();
        let first = list.take_first_if(|first| first.0 == "work").remove(0);
        list.rejoin(first);
        assert_eq!(numbers(list.take_first_if(|first| first.0 == "work")), [1]);
    }

    #[test]
    fn who_gives_up_leaves_wherever_it_stands() {
        let mut list = three_and_one();
        assert_eq!(numbers(list.take_if(|waiter| waiter.1 % 2 == 1)), [9, 1, 3]);
        assert_eq!(numbers(list.take_first_if(|_| true)), [2]);
        assert!(list.is_empty());
    }
}
