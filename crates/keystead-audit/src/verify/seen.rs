//! What has been found so far: counts, faults, and the event ids of late.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Fault, Report, VerifySettings};
use crate::chain::Leaf;

/// What has been found so far.
pub(super) struct Seen {
    pub(super) report: Report,
    most_faults: usize,
    /// Hashes of records that are missing, or of lines too many, with the index of their fault.
    removed: HashMap<Leaf, usize>,
    inserted: HashMap<Leaf, usize>,
    most_events: usize,
    events: HashSet<[u8; 36]>,
    order: VecDeque<[u8; 36]>,
}

impl Seen {
    pub(super) fn new(settings: &VerifySettings) -> Self {
        Self {
            report: Report::default(),
            most_faults: settings.most_faults,
            removed: HashMap::new(),
            inserted: HashMap::new(),
            most_events: settings.remembered_events,
            events: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Counts a record that is as it was signed.
    pub(super) fn record(&mut self, event: Option<String>) {
        self.report.records += 1;
        let id = event.as_deref().and_then(|event| <[u8; 36]>::try_from(event.as_bytes()).ok());
        let Some(id) = id.filter(|_| self.most_events > 0) else { return };
        if !self.events.insert(id) {
            self.report.repeats += 1;
            if self.report.repeated_events.len() < LISTED_REPEATS {
                self.report.repeated_events.extend(event);
            }
            return;
        }
        if self.order.len() >= self.most_events
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
        self.order.push_back(id);
    }

    /// Notes a fault. `leaf`: the hash of the record or line that it is about, by which a record
    /// that is missing here and too many there is known to have been moved.
    pub(super) fn fault(&mut self, fault: Fault, leaf: Option<Leaf>) {
        self.report.fault_count += 1;
        if let Some(leaf) = leaf
            && self.moved(&fault, leaf)
        {
            return;
        }
        if let Fault::Removed { segment, first, .. } = fault
            && let Some(Fault::Removed { segment: same, first: from, count }) =
                self.report.faults.last_mut()
            && *same == segment
            && *from + *count == first
        {
            *count += 1;
            return;
        }
        if self.report.faults.len() < self.most_faults {
            self.report.faults.push(fault);
        }
    }

    /// Turns a removal and an insertion of the same record into one move.
    fn moved(&mut self, fault: &Fault, leaf: Leaf) -> bool {
        let listed = self.report.faults.len();
        match fault {
            Fault::Removed { segment, first, .. } => {
                if let Some(index) = self.inserted.remove(&leaf)
                    && let Some(slot) = self.report.faults.get_mut(index)
                    && let Fault::Inserted { segment: there, line, event } = slot
                    && there == segment
                {
                    *slot = Fault::Reordered {
                        segment: *segment,
                        record: *first,
                        line: *line,
                        event: event.take(),
                    };
                    self.report.fault_count -= 1;
                    return true;
                }
                let joins = matches!(self.report.faults.last(),
                    Some(Fault::Removed { segment: same, first: from, count })
                        if same == segment && from + count == *first);
                if listed < self.most_faults && !joins {
                    self.removed.insert(leaf, listed);
                }
            }
            Fault::Inserted { segment, line, event } => {
                if let Some(index) = self.removed.remove(&leaf)
                    && let Some(slot) = self.report.faults.get_mut(index)
                    && let Fault::Removed { segment: there, first, count: 1 } = slot
                    && there == segment
                {
                    *slot = Fault::Reordered {
                        segment: *segment,
                        record: *first,
                        line: *line,
                        event: event.clone(),
                    };
                    self.report.fault_count -= 1;
                    return true;
                }
                if listed < self.most_faults {
                    self.inserted.insert(leaf, listed);
                }
            }
            _ => {}
        }
        false
    }
}

const LISTED_REPEATS: usize = 100;
