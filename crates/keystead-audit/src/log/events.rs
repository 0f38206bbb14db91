//! Which records were appended lately.

use std::collections::{HashSet, VecDeque};

/// Event ids that were appended lately.
pub(super) struct Events {
    most: usize,
    set: HashSet<Box<[u8]>>,
    order: VecDeque<Box<[u8]>>,
}

impl Events {
    pub(super) fn new(most: usize, found: Vec<String>) -> Self {
        let mut events = Self { most, set: HashSet::new(), order: VecDeque::new() };
        for id in found {
            events.insert(id.as_bytes());
        }
        events
    }

    pub(super) fn contains(&self, id: &[u8]) -> bool {
        self.set.contains(id)
    }

    pub(super) fn insert(&mut self, id: &[u8]) {
        if self.most == 0 || !self.set.insert(id.into()) {
            return;
        }
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        self.order.push_back(id.into());
    }
}
