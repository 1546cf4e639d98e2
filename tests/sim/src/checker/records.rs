//! Call detail records: one row a call, opened and closed once, and true.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice::cdr::record::{AttemptClosed, AttemptOpened, CallClosed, CallOpened, Record};

use super::Violation;

/// The rows of one call.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// At its start.
    pub(crate) opened: CallOpened,
    /// At its end.
    pub(crate) closed: Option<CallClosed>,
    /// Attempts that ended; those that did not are `None`.
    pub(crate) attempts: BTreeMap<u32, Option<AttemptClosed>>,
    /// Attempts of which an INVITE left.
    pub(crate) dialled: usize,
}

impl Rows {
    /// Somebody ordered it: both parties are called.
    fn is_placed(&self) -> bool {
        self.opened.source.starts_with("api:")
    }

    /// A page began it, by no INVITE.
    fn is_of_guest(&self) -> bool {
        self.opened.source == "browser"
    }
}

/// All rows of a world.
#[derive(Debug, Default)]
pub(crate) struct Records {
    calls: BTreeMap<String, Rows>,
    by_call_id: BTreeMap<String, String>,
}

impl Records {
    /// Call control stores something.
    pub(crate) fn add(&mut self, record: &Record) -> Result<(), Violation> {
        let (id, complaint) = match record {
            Record::CallOpened(opened) => (&opened.call, self.open(opened)),
            Record::AttemptOpened(opened) => (&opened.call, self.open_attempt(opened)),
            Record::AttemptClosed(closed) => (&closed.call, self.close_attempt(closed)),
            Record::CallClosed(closed) => (&closed.call, self.close(closed)),
            Record::GuardCounts(_) | Record::Phones(_) => return Ok(()),
        };
        complaint.map_err(|text| {
            let call_id = self.calls.get(id).map(|rows| rows.opened.call_id.clone());
            Violation {
                call: None,
                call_id,
                text: format!("CDR: {text}"),
            }
        })
    }

    fn open(&mut self, opened: &CallOpened) -> Result<(), String> {
        let rows = Rows {
            opened: opened.clone(),
            closed: None,
            attempts: BTreeMap::new(),
            dialled: 0,
        };
        // Each INVITE of a placed call has a Call-ID of its own.
        if !rows.is_placed()
            && !rows.is_of_guest()
            && self
                .by_call_id
                .insert(opened.call_id.clone(), opened.call.clone())
                .is_some()
        {
            return Err("a second row for one INVITE".to_owned());
        }
        match self.calls.insert(opened.call.clone(), rows) {
            Some(_) => Err("an id that another call has".to_owned()),
            None => Ok(()),
        }
    }

    fn rows(&mut self, call: &str) -> Result<&mut Rows, String> {
        let rows = self
            .calls
            .get_mut(call)
            .ok_or("a record of a call that was never opened")?;
        if rows.closed.is_some() {
            return Err("a record of a call that was closed".to_owned());
        }
        Ok(rows)
    }

    fn open_attempt(&mut self, opened: &AttemptOpened) -> Result<(), String> {
        let number = opened.number;
        let rows = self.rows(&opened.call)?;
        rows.dialled += usize::from(opened.dialed);
        let expected = u32::try_from(rows.attempts.len()).unwrap_or(0) + 1;
        if number != expected {
            return Err(format!("attempt {number} where {expected} is next"));
        }
        let _ = rows.attempts.insert(number, None);
        Ok(())
    }

    fn close_attempt(&mut self, closed: &AttemptClosed) -> Result<(), String> {
        // A late answer of an attempt that was left may close its row after the call's.
        let rows = self
            .calls
            .get_mut(&closed.call)
            .ok_or("an attempt of no call")?;
        let slot = rows
            .attempts
            .get_mut(&closed.number)
            .ok_or("the end of no attempt")?;
        // PRODUCT §6: an attempt that was left answers after all; its row says so, once.
        let changes = slot.as_ref().is_some_and(|before| {
            closed.outcome == "late_answer" && before.outcome != "late_answer"
        });
        if slot.replace(closed.clone()).is_some() && !changes {
            return Err(format!("attempt {} closed twice", closed.number));
        }
        let answered = rows
            .attempts
            .values()
            .flatten()
            .filter(|row| row.outcome == "answered");
        if answered.count() > 1 + usize::from(rows.is_placed()) {
            return Err("too many answered attempts".to_owned());
        }
        Ok(())
    }

    fn close(&mut self, closed: &CallClosed) -> Result<(), String> {
        let rows = self
            .calls
            .get_mut(&closed.call)
            .ok_or("the end of no call")?;
        if rows.closed.replace(closed.clone()).is_some() {
            return Err("a call closed twice".to_owned());
        }
        Ok(())
    }

    /// The rows of the call whose a-leg has this Call-ID.
    pub(crate) fn of(&self, call_id: &str) -> Option<&Rows> {
        self.by_call_id
            .get(call_id)
            .and_then(|id| self.calls.get(id))
    }

    /// The rows of the call with this id.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Rows> {
        self.calls.get(id)
    }

    /// The rows of the guest's call for this path.
    pub(crate) fn by_path(&self, path: &str) -> Option<&Rows> {
        let mut rows = self.calls.values();
        rows.find(|rows| rows.is_of_guest() && rows.opened.request_path == path)
    }

    /// Calls with a row.
    pub(crate) fn count(&self) -> usize {
        self.calls.len()
    }

    /// Every row is closed.
    pub(crate) fn finish(&self) -> Result<(), Violation> {
        for rows in self.calls.values() {
            let call_id = &rows.opened.call_id;
            if rows.closed.is_none() {
                return Err(Violation::of_dialog(
                    call_id,
                    "CDR: the call's row was never closed",
                ));
            }
            if let Some((number, _)) = rows.attempts.iter().find(|(_, row)| row.is_none()) {
                let text = format!("CDR: the row of attempt {number} was never closed");
                return Err(Violation::of_dialog(call_id, text));
            }
        }
        Ok(())
    }
}

impl Rows {
    /// From the answer to the end.
    pub(crate) fn billed(&self) -> Option<Duration> {
        let closed = self.closed.as_ref()?;
        let answered = closed.answered_at?;
        Duration::try_from(closed.at.duration_since(answered)).ok()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn opened(call: &str) -> Record {
        Record::CallOpened(CallOpened {
            call: call.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            source: String::new(),
            source_address: String::new(),
            call_id: format!("{call}@host"),
            request_path: String::new(),
            caller: String::new(),
        })
    }

    fn closed(call: &str) -> Record {
        Record::CallClosed(CallClosed {
            call: call.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            answered_at: None,
            status: 200,
            released_by: String::new(),
            cause: String::new(),
            q850: None,
            link: None,
            media: sluice::cdr::record::MediaFigures::default(),
        })
    }

    #[test]
    fn row_that_is_missing_doubled_or_left_open_is_caught() {
        let mut records = Records::default();
        assert!(records.add(&closed("a")).is_err());
        records.add(&opened("a")).unwrap();
        assert!(records.finish().is_err());
        assert!(records.add(&opened("a")).is_err());
        let mut records = Records::default();
        records.add(&opened("a")).unwrap();
        records.add(&closed("a")).unwrap();
        records.finish().unwrap();
        assert!(records.add(&closed("a")).is_err());
    }
}
