//! Calls that are up: found by id, listed by age, ended by command.
//!
//! Owns the two orders in which calls can be found beside the endpoint's key, and the answers to
//! commands that only look.

use std::collections::BTreeMap;

use sip::event::CallKey;

use super::command::{
    CallPage, Command, CommandOutcome, CommandRefusal, ListCalls, PAGE_CALLS_MAX, SCAN_CALLS_MAX,
    TargetState, TrunkState,
};
use super::control::CallControl;
use super::event::{Now, Output, Ticket};
use super::one_call::{Call, Side};
use crate::fraud_guard::Question;

/// Calls that are not over, by id and by age. As many entries as calls.
#[derive(Debug, Default)]
pub(super) struct LiveCalls {
    by_id: BTreeMap<u128, CallKey>,
    by_age: BTreeMap<u64, CallKey>,
    last: u64,
}

impl LiveCalls {
    /// A call begins: its age among calls.
    pub(super) fn begin(&mut self, id: &str, key: CallKey) -> u64 {
        self.last += 1;
        self.set(id, self.last, key);
        self.last
    }

    /// The call has another key now.
    pub(super) fn set(&mut self, id: &str, age: u64, key: CallKey) {
        if let Some(number) = number(id) {
            self.by_id.insert(number, key);
        }
        self.by_age.insert(age, key);
    }

    /// It is over.
    pub(super) fn end(&mut self, id: &str, age: u64) {
        if let Some(number) = number(id) {
            self.by_id.remove(&number);
        }
        self.by_age.remove(&age);
    }

    pub(super) fn find(&self, id: &str) -> Option<CallKey> {
        self.by_id.get(&number(id)?).copied()
    }

    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.by_id.len(), self.by_age.len(), "one call, two names");
        self.by_age.len()
    }

    fn after(&self, age: u64) -> impl Iterator<Item = (u64, CallKey)> {
        let later = self.by_age.range(age.saturating_add(1)..);
        later.map(|(age, key)| (*age, *key))
    }
}

/// The number that an id writes: 128 bits in hexadecimal.
pub(super) fn number(id: &str) -> Option<u128> {
    let written = id.len() == 32 && id.bytes().all(|octet| octet.is_ascii_hexdigit());
    written.then(|| u128::from_str_radix(id, 16).ok()).flatten()
}

impl CallControl {
    pub(super) fn handle_command(&mut self, now: Now, ticket: Ticket, command: Command) {
        let outcome = match command {
            Command::Place(place) => self.place_call(now, *place),
            Command::End { call, cause } => self.end_call(now, &call, cause),
            Command::List(list) => Ok(CommandOutcome::Calls(self.list_calls(&list))),
            Command::Show { call } => self.show_call(&call),
            Command::Ladder { call } => {
                let ladder = self.ladders.show(&call);
                ladder
                    .map(CommandOutcome::Ladder)
                    .ok_or(CommandRefusal::NoLadder)
            }
            Command::ListTrunkStates => Ok(CommandOutcome::TrunkStates(self.trunk_states(now))),
            Command::PingTrunk { trunk } => self.ping_trunk(now, &trunk),
            Command::ListPhones(list) => Ok(CommandOutcome::Phones(self.list_phones(now, &list))),
            Command::Explain(question) => self.explain(now, &question),
        };
        if let Err(refusal) = outcome {
            self.counters.refuse_command(refusal.as_str());
        }
        self.put(Output::CommandDone { ticket, outcome });
    }

    fn end_call(
        &mut self,
        now: Now,
        id: &str,
        cause: &'static str,
    ) -> Result<CommandOutcome, CommandRefusal> {
        let key = self.live_calls.find(id).ok_or(CommandRefusal::NoSuchCall)?;
        self.touch(Some(key));
        self.hang_up(now, key, cause);
        Ok(CommandOutcome::Ended)
    }

    fn show_call(&self, id: &str) -> Result<CommandOutcome, CommandRefusal> {
        let live = self.live_calls.find(id);
        let live = live
            .and_then(|key| self.calls.get(&key))
            .map(|call| call.view());
        let call = live.or_else(|| self.orders.former(id).cloned());
        let call = call.ok_or(CommandRefusal::NoSuchCall)?;
        Ok(CommandOutcome::Call(Box::new(call)))
    }

    /// The guard that judges calls is asked, with all that is up.
    fn explain(&self, now: Now, question: &Question) -> Result<CommandOutcome, CommandRefusal> {
        let mut trunks = self.snapshot.trunks.iter();
        let trunk = trunks.find(|trunk| trunk.id == question.trunk);
        let trunk = trunk.ok_or(CommandRefusal::NoSuchTrunk)?;
        let user = trunk.rewrite(&question.number);
        let dialled = (user.as_str(), &trunk.dial_plan);
        let told = question.ask(&self.guard, dialled, now.instant, now.timestamp);
        Ok(CommandOutcome::Explained(Box::new(told)))
    }

    fn list_calls(&self, list: &ListCalls) -> CallPage {
        let limit = list.limit.clamp(1, PAGE_CALLS_MAX);
        let mut page = CallPage {
            calls: Vec::new(),
            next: None,
            live: self.live_calls.len(),
        };
        let mut seen = list.after.unwrap_or_default();
        for (looked_at, (age, key)) in self.live_calls.after(seen).enumerate() {
            if page.calls.len() == limit || looked_at == SCAN_CALLS_MAX {
                page.next = Some(seen);
                break;
            }
            seen = age;
            if let Some(call) = self.calls.get(&key)
                && is_wanted(call, list)
            {
                page.calls.push(call.view());
            }
        }
        page
    }

    fn trunk_states(&self, now: Now) -> Vec<TrunkState> {
        let state = |trunk: &crate::trunks::model::Trunk| {
            let target = |target: &crate::trunks::model::TrunkTarget| TargetState {
                address: target.address,
                up: self.health.is_up(&trunk.id, target.address),
                pinged: !trunk.options_interval_up.is_zero(),
            };
            let targets: Vec<TargetState> = trunk.targets.iter().map(target).collect();
            let (calls_sent, calls_received) = self.loads.of(&trunk.id);
            TrunkState {
                id: trunk.id.clone(),
                label: trunk.label.clone(),
                enabled: trunk.enabled,
                up: targets.iter().any(|target| target.up),
                targets,
                calls_sent,
                calls_received,
                registration: self.registration_state(now, &trunk.id),
            }
        };
        self.snapshot.trunks.iter().map(state).collect()
    }
}

fn is_wanted(call: &Call, list: &ListCalls) -> bool {
    let on_trunk = |id: &String| {
        [Side::A, Side::B]
            .into_iter()
            .any(|side| call.trunk_id(side) == Some(id))
    };
    list.trunk.as_ref().is_none_or(on_trunk)
        && list.link.is_none_or(|link| call.link == Some(link))
        && list.state.is_none_or(|state| call.state() == state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_id_is_looked_for() {
        assert_eq!(number("0000000000000000000000000000001f"), Some(31));
        for other in [
            "",
            "1f",
            "+000000000000000000000000000001f",
            "0000000000000000000000000000001g",
            "00000000000000000000000000000000000",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
