//! Datagrams on their way: what the network does to them, and who is at each address.

use std::net::SocketAddr;

use super::{Node, World};
use crate::agenda::Due;
use crate::checker::Violation;
use crate::gateway::GATEWAY;
use crate::network::{Fate, Kind, Packet};
use crate::peer::text::Text;
use crate::trace::Rung;

impl World {
    pub(super) fn ship(&mut self, packet: Packet) {
        let rung = (packet.kind == Kind::Signalling).then(|| self.rung(&packet));
        self.trace
            .datagram(self.now, packet.source, packet.target, &packet.bytes);
        let (fate, arrivals) = match self.next_delay.take() {
            Some(delay) => (Fate::Carried, vec![(self.now + delay, packet)]),
            None => self.network.carry(self.now, packet),
        };
        if let Some(rung) = rung {
            let note = match fate {
                Fate::Carried => "",
                Fate::Lost => "lost",
                Fate::Doubled => "doubled",
            };
            self.trace.rung(Rung { note, ..rung });
        }
        for (at, packet) in arrivals {
            self.schedule(at, Due::Packet(packet));
        }
    }

    fn rung(&self, packet: &Packet) -> Rung {
        let message = Text::parse(&packet.bytes);
        let summary = message
            .as_ref()
            .map_or_else(|| "?".to_owned(), Text::summary);
        let call = message.and_then(|message| self.call_of(message.call_id()));
        Rung {
            at: self.now,
            source: self.name(packet.source),
            target: self.name(packet.target),
            summary,
            call,
            note: "",
        }
    }

    /// The call of a violation.
    pub(crate) fn blamed(&self, violation: &Violation) -> Option<u32> {
        violation
            .call
            .or_else(|| self.call_of(violation.call_id.as_deref()?))
    }

    pub(super) fn call_of(&self, call_id: &str) -> Option<u32> {
        let attempt = self.attempts.get(call_id).map(|(call, _)| *call);
        attempt.or_else(|| {
            self.legs
                .iter()
                .find(|leg| leg.call_id == call_id)
                .map(|leg| leg.call)
        })
    }

    pub(super) fn node(&self, address: SocketAddr) -> Option<&Node> {
        self.nodes.iter().find(|node| node.address == address)
    }

    pub(super) fn name(&self, address: SocketAddr) -> String {
        if address.ip() == GATEWAY.ip() {
            return "gw".to_owned();
        }
        self.node(address)
            .map_or_else(|| address.to_string(), |node| node.name.clone())
    }
}
