//! Reports that wait to be taken. A slot has at most one of each kind waiting, so the backlog is
//! bounded by the number of slots and never refuses.

use std::collections::VecDeque;

/// A kind of report. In this order if several of one slot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Waiting {
    Stocked = 1,
    Latched = 2,
    Silent = 4,
    Struck = 8,
    Disconnected = 16,
    TransportUp = 32,
    TransportFailed = 64,
    TransportSilent = 128,
    TransportBack = 256,
}

/// Slots with something to report, oldest first.
#[derive(Debug)]
pub(super) struct ReportQueue {
    slots: VecDeque<u32>,
    waiting: Vec<u16>,
}

impl ReportQueue {
    pub(super) fn new(slots: u32) -> Self {
        let slots = slots as usize;
        Self {
            slots: VecDeque::with_capacity(slots),
            waiting: vec![0; slots],
        }
    }

    /// Puts a report in line, unless the same waits already.
    pub(super) fn push(&mut self, slot: u32, report: Waiting) {
        if let Some(waiting) = self.waiting.get_mut(slot as usize) {
            if *waiting == 0 {
                self.slots.push_back(slot);
            }
            *waiting |= report as u16;
        }
    }

    /// Forgets what has not been taken of a slot, except `kept`.
    pub(super) fn keep_only(&mut self, slot: u32, kept: Option<Waiting>) {
        if let Some(waiting) = self.waiting.get_mut(slot as usize) {
            let mask = kept.map_or(0, |kept| kept as u16);
            if *waiting != 0 && *waiting & mask == 0 {
                self.slots.retain(|other| *other != slot);
            }
            *waiting &= mask;
        }
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<(u32, Waiting)> {
        const ORDER: [Waiting; 9] = [
            Waiting::Stocked,
            Waiting::Latched,
            Waiting::Silent,
            Waiting::TransportFailed,
            Waiting::TransportUp,
            Waiting::TransportSilent,
            Waiting::TransportBack,
            Waiting::Struck,
            Waiting::Disconnected,
        ];
        let slot = *self.slots.front()?;
        let waiting = self.waiting.get_mut(slot as usize)?;
        let report = ORDER
            .into_iter()
            .find(|report| *waiting & *report as u16 != 0)?;
        *waiting &= !(report as u16);
        if *waiting == 0 {
            self.slots.pop_front();
        }
        Some((slot, report))
    }

    /// True if each slot in line has something to report and no other has.
    pub(super) fn is_consistent(&self) -> bool {
        let waiting = self.waiting.iter().filter(|waiting| **waiting != 0).count();
        let has = |slot: &u32| {
            self.waiting
                .get(*slot as usize)
                .is_some_and(|waiting| *waiting != 0)
        };
        waiting == self.slots.len() && self.slots.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_a_slot_come_once_and_in_order() {
        let mut queue = ReportQueue::new(4);
        queue.push(2, Waiting::Disconnected);
        queue.push(2, Waiting::Latched);
        queue.push(1, Waiting::Stocked);
        queue.push(2, Waiting::Latched);
        assert!(queue.is_consistent());
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let expected = [
            (2, Waiting::Latched),
            (2, Waiting::Disconnected),
            (1, Waiting::Stocked),
        ];
        assert_eq!(taken, expected);
        assert!(queue.is_consistent());
    }

    #[test]
    fn what_is_forgotten_is_not_taken() {
        let mut queue = ReportQueue::new(4);
        queue.push(0, Waiting::Latched);
        queue.push(0, Waiting::Silent);
        queue.keep_only(0, Some(Waiting::Silent));
        assert_eq!(queue.pop(), Some((0, Waiting::Silent)));
        queue.push(3, Waiting::Latched);
        queue.keep_only(3, None);
        assert_eq!(queue.pop(), None);
        assert!(queue.is_consistent());
    }
}
