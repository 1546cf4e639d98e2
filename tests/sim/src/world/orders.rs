//! Calls that the gateway is told to place or to end, as its API does it.

use sluice::call::command::{Command, CommandOutcome, CommandRefusal, PlaceCall};
use sluice::call::event::Ticket;

use super::World;
use crate::agenda::Due;
use crate::checker::{Violation, calls};
use crate::order::{Order, Outcome};
use crate::time::SimTime;

/// Tickets of commands that end a call have this bit.
const ENDS: u64 = 1 << 32;

impl World {
    /// The gateway will be told to place this call.
    pub(crate) fn add_order(&mut self, call: u32, at: SimTime, place: PlaceCall) {
        let order = Order {
            place: Some(Box::new(place)),
            outcome: Outcome::Waiting,
        };
        let _ = self.orders.insert(call, order);
        self.schedule(at, Due::Place(call));
    }

    /// The gateway will be told to end this call, placed or not.
    pub(crate) fn add_end(&mut self, call: u32, at: SimTime) {
        self.schedule(at, Due::EndCall(call));
    }

    pub(super) fn place(&mut self, call: u32) -> Result<(), Violation> {
        let order = self.orders.get_mut(&call);
        let Some(place) = order.and_then(|order| order.place.take()) else {
            return Ok(());
        };
        let command = Command::Place(place);
        self.tell(|gateway, now| gateway.command(now, Ticket(u64::from(call)), command))
    }

    pub(super) fn end_call(&mut self, call: u32) -> Result<(), Violation> {
        let Some(id) = self.id_of(call) else {
            return Ok(());
        };
        self.disturb_call(call);
        let command = Command::End {
            call: id,
            cause: "ended_by_api",
        };
        self.tell(|gateway, now| gateway.command(now, Ticket(u64::from(call) | ENDS), command))
    }

    /// The gateway's id of a call, once it has one.
    fn id_of(&self, call: u32) -> Option<String> {
        if let Some(order) = self.orders.get(&call) {
            return match &order.outcome {
                Outcome::Placed(id) => Some(id.clone()),
                Outcome::Waiting | Outcome::Refused(_) => None,
            };
        }
        let caller = self
            .legs
            .iter()
            .find(|leg| leg.call == call && leg.is_first)?;
        Some(self.records.of(&caller.call_id)?.opened.call.clone())
    }

    /// What the gateway says to a command: an order has its call, and the end of one never fails but
    /// where it is over.
    pub(super) fn note_outcome(
        &mut self,
        ticket: Ticket,
        outcome: Result<CommandOutcome, CommandRefusal>,
    ) -> Result<(), Violation> {
        let call = u32::try_from(ticket.0 & (ENDS - 1)).unwrap_or(0);
        self.trace
            .note(self.now, &format!("command for call {call}: {outcome:?}"));
        if ticket.0 & ENDS != 0 {
            return match outcome {
                Ok(CommandOutcome::Ended) | Err(CommandRefusal::NoSuchCall) => Ok(()),
                other => Err(Violation::of_call(
                    call,
                    format!("the end of a call: {other:?}"),
                )),
            };
        }
        let said = match outcome {
            Ok(CommandOutcome::Placed {
                call: view,
                repeated: false,
            }) => Outcome::Placed(view.id),
            Ok(other) => {
                return Err(Violation::of_call(call, format!("an order got {other:?}")));
            }
            Err(refusal) => Outcome::Refused(refusal.as_str()),
        };
        if let Some(order) = self.orders.get_mut(&call) {
            order.outcome = said;
        }
        Ok(())
    }

    /// Each order was heard, each placed call has its row, and one row for each INVITE.
    pub(super) fn check_orders(&self) -> Result<(), Violation> {
        for (call, order) in &self.orders {
            if self.struck.contains(call) {
                continue;
            }
            let complaint = match &order.outcome {
                Outcome::Waiting => Some("an order was never answered".to_owned()),
                Outcome::Placed(id) => {
                    calls::check_placed(*call, id, &self.legs, &self.records, self.tolerance).err()
                }
                Outcome::Refused(_) => None,
            };
            if let Some(text) = complaint {
                return Err(Violation::of_call(*call, text));
            }
        }
        let numbers = self.legs.iter().map(|leg| leg.call);
        let whole = numbers
            .chain(self.orders.keys().copied())
            .filter(|call| !self.struck.contains(call));
        for call in whole {
            let Some(rows) = self.id_of(call).and_then(|id| self.records.by_id(&id)) else {
                continue;
            };
            let dialled = self.dialled.get(&call).copied().unwrap_or(0);
            if rows.dialled != dialled {
                let text = format!("CDR: {} rows for {dialled} INVITEs", rows.dialled);
                return Err(Violation::of_call(call, text));
            }
        }
        Ok(())
    }
}
