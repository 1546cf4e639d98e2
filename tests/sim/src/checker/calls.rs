//! Calls as their ends saw them, against each other and against the records.

use std::time::Duration;

use super::Violation;
use super::records::Records;
use crate::peer::leg::{Leg, Role, State, TRANSACTION};
use crate::time::SimTime;

/// How exact the ends can agree in this world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    /// Longest way of a datagram that arrives.
    pub(crate) delay: Duration,
    /// Datagrams can vanish: whatever is repeated may take 64·T1.
    pub(crate) loses: bool,
}

impl Tolerance {
    fn slack(self) -> Duration {
        let repeats = if self.loses {
            TRANSACTION * 2
        } else {
            Duration::ZERO
        };
        self.delay * 4 + repeats + Duration::from_millis(50)
    }
}

/// Looks at a world at rest.
pub(crate) fn finish(
    legs: &[Leg],
    records: &Records,
    tolerance: Tolerance,
    is_whole: impl Fn(&Leg) -> bool,
) -> Result<(), Violation> {
    let callers = legs.iter().filter(|leg| leg.role == Role::Caller);
    for caller in callers.filter(|leg| is_whole(leg)) {
        let complaint = check_call(caller, legs, tolerance)
            .and_then(|()| check_row(caller, records, tolerance));
        complaint.map_err(|text| Violation::of_call(caller.call, text))?;
    }
    Ok(())
}

fn check_call(caller: &Leg, legs: &[Leg], tolerance: Tolerance) -> Result<(), String> {
    if caller.history.invited_at.is_some() && caller.state != State::Ended {
        return Err("the caller's leg never ended".to_owned());
    }
    let callees = || {
        legs.iter()
            .filter(|leg| leg.role == Role::Callee && leg.call == caller.call && !leg.plan.silent)
    };
    let mut answered: Vec<(SimTime, SimTime)> = Vec::new();
    for callee in callees() {
        let history = &callee.history;
        let ended = history
            .ended_at
            .ok_or_else(|| format!("leg {} was dialled and never ended", callee.number))?;
        let over = caller.history.ended_at.unwrap_or(ended);
        if ended > over + tolerance.slack() && ended.since(over) > lasts_by_itself(callee) {
            return Err(format!(
                "leg {} ended at {ended}, long after its call ({over})",
                callee.number
            ));
        }
        if let Some(confirmed) = history.confirmed_at {
            answered.push((confirmed, ended));
        }
    }
    answered.sort();
    for pair in answered.windows(2) {
        let [(_, first_end), (second_start, _)] = [pair[0], pair[1]];
        if first_end > second_start + tolerance.slack() {
            return Err("two callees were connected at the same time".to_owned());
        }
    }
    Ok(())
}

/// A call that the gateway placed: all whom it dialled are done with it, the second party no longer
/// than the first, and nobody was billed who was not joined.
pub(crate) fn check_placed(
    call: u32,
    id: &str,
    legs: &[Leg],
    records: &Records,
    tolerance: Tolerance,
) -> Result<(), String> {
    let rows = records.by_id(id).ok_or("a placed call without a CDR")?;
    let closed = rows.closed.as_ref();
    let closed = closed.ok_or("CDR: the row was never closed")?;
    let parties = legs
        .iter()
        .filter(|leg| leg.call == call && !leg.plan.silent);
    let mut answered = [false; 2];
    for leg in parties {
        if leg.state != State::Ended {
            return Err(format!("leg {} was dialled and never ended", leg.number));
        }
        answered[usize::from(leg.is_first)] |= leg.history.answered_at.is_some();
    }
    let is_billed = rows
        .billed()
        .is_some_and(|billed| billed > tolerance.slack());
    if is_billed && answered == [false; 2] {
        return Err(format!("CDR: {closed:?} where nobody answered"));
    }
    Ok(())
}

/// A callee whose 2xx nobody acknowledged gives up by itself.
fn lasts_by_itself(callee: &Leg) -> Duration {
    let unacknowledged =
        callee.history.answered_at.is_some() && callee.history.confirmed_at.is_none();
    if unacknowledged {
        TRANSACTION + Duration::from_secs(5)
    } else {
        Duration::ZERO
    }
}

fn check_row(caller: &Leg, records: &Records, tolerance: Tolerance) -> Result<(), String> {
    let history = &caller.history;
    if history.invited_at.is_none() {
        return Ok(());
    }
    let Some(rows) = records.of(&caller.call_id) else {
        // Refused before it was a call: no link store, no room. Then it was not answered either.
        let refused = history.final_status.is_some_and(|status| status >= 300);
        return if refused || tolerance.loses {
            Ok(())
        } else {
            Err("a call without a CDR".to_owned())
        };
    };
    let Some(closed) = &rows.closed else {
        return Err("CDR: the row was never closed".to_owned());
    };
    // Without an ACK the caller hears of the end only when we stop to wait for it (RFC 3261 §15).
    if tolerance.loses || !caller.plan.acknowledges {
        return Ok(());
    }
    if let Some(status) = history.final_status
        && status != closed.status
    {
        return Err(format!(
            "CDR: status {} where the caller saw {status}",
            closed.status
        ));
    }
    let seen = history
        .answered_at
        .zip(history.ended_at)
        .map(|(start, end)| end.since(start));
    match (rows.billed(), seen) {
        (Some(billed), Some(seen)) if billed.abs_diff(seen) > tolerance.slack() => {
            Err(format!("CDR: {billed:?} where the caller saw {seen:?}"))
        }
        (Some(billed), None) if billed > tolerance.slack() => Err(format!(
            "CDR: {billed:?} for a call that the caller never saw answered"
        )),
        (None, Some(seen)) => Err(format!("CDR: not answered, the caller saw {seen:?}")),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}
