//! Datagrams on their way: what the network does to them, and who is at each address.

use std::net::SocketAddr;

use sip::event::Transport;

use super::{Node, Ping, World};
use crate::agenda::Due;
use crate::checker::Violation;
use crate::gateway::GATEWAY;
use crate::network::{Fate, Kind, Packet};
use crate::peer::text::Text;
use crate::streams::{Segment, over_tcp};
use crate::trace::Rung;

impl World {
    pub(super) fn ship(&mut self, packet: Packet) {
        let rung = (packet.kind == Kind::Signalling).then(|| self.rung(&packet));
        self.trace
            .datagram(self.now, packet.source, packet.target, &packet.bytes);
        if packet.kind == Kind::Signalling
            && let Some((peer, to_gateway)) = self.stream_of(&packet)
        {
            return self.ship_by_stream(peer, to_gateway, &packet, rung);
        }
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

    /// The peer whose connection carries this message, and which way.
    fn stream_of(&self, packet: &Packet) -> Option<(SocketAddr, bool)> {
        let to_gateway = packet.target.ip() == GATEWAY.ip();
        let peer = if to_gateway {
            packet.source
        } else {
            packet.target
        };
        self.streams.has(peer).then_some((peer, to_gateway))
    }

    fn ship_by_stream(
        &mut self,
        peer: SocketAddr,
        to_gateway: bool,
        packet: &Packet,
        rung: Option<Rung>,
    ) {
        let mut note = "";
        if !to_gateway
            && self
                .node(peer)
                .is_some_and(|node| node.ping == Ping::Absent)
        {
            // Nobody listens: the connection is not made.
            self.schedule(self.now, Due::Unreachable(peer));
            note = "refused";
        } else {
            let extra = self.next_delay.take().unwrap_or_default();
            let bytes = if to_gateway {
                over_tcp(&packet.bytes)
            } else {
                packet.bytes.clone()
            };
            let carried = self
                .streams
                .carry(self.now, peer, to_gateway, &bytes, extra);
            if carried.segments.len() > 1 {
                note = "cut";
            }
            for (at, segment) in carried.segments {
                self.schedule(at, Due::Segment(segment));
            }
            if let Some((at, generation)) = carried.breaks {
                self.schedule(at, Due::Breaks(peer, generation));
            }
        }
        if let Some(rung) = rung {
            self.trace.rung(Rung { note, ..rung });
        }
    }

    /// Octets of a connection arrive; what is whole is heard.
    pub(super) fn reach_by_stream(&mut self, segment: &Segment) -> Result<(), Violation> {
        let (peer, to_gateway) = (segment.peer, segment.to_gateway);
        let messages = self.streams.arrive(segment).map_err(Violation::of_world)?;
        for bytes in messages {
            let (source, target) = if to_gateway {
                (peer, GATEWAY)
            } else {
                (GATEWAY, peer)
            };
            let packet = Packet {
                kind: Kind::Signalling,
                source,
                target,
                bytes,
                damaged: false,
            };
            if to_gateway {
                self.reach_gateway(&packet)?;
            } else {
                self.reach_peer(&packet)?;
            }
        }
        Ok(())
    }

    /// The gateway is told that a peer cannot be reached, or that its connection is gone.
    pub(super) fn tell_unreachable(&mut self, peer: SocketAddr) -> Result<(), Violation> {
        let transport = self.transport(peer);
        let effects = self.gateway.unreachable(self.now, peer, transport);
        self.apply(effects)
    }

    /// Both ends of a connection hear that it broke.
    pub(super) fn tell_broken(&mut self, peer: SocketAddr) -> Result<(), Violation> {
        self.trace
            .note(self.now, &format!("the connection of {peer} breaks"));
        self.tell_unreachable(peer)?;
        for place in 0..self.legs.len() {
            if self.legs[place].lives_at(peer) {
                self.with_leg(place, |leg, _, out| leg.say_again(out))?;
            }
        }
        Ok(())
    }

    /// How this peer speaks.
    pub(super) fn transport(&self, peer: SocketAddr) -> Transport {
        if self.streams.has(peer) {
            Transport::Tcp
        } else {
            Transport::Udp
        }
    }

    /// RFC 3261 §18.1.1: the Via of a request says how it leaves.
    pub(super) fn check_transport(
        &self,
        target: SocketAddr,
        message: &Text,
    ) -> Result<(), Violation> {
        let transport = self.transport(target);
        let expected = format!("SIP/2.0/{} ", transport.as_str());
        let via = message.header("Via").unwrap_or("");
        if message.request_method().is_some() && !via.starts_with(&expected) {
            return Err(Violation::of_world(format!(
                "a request to {target}, which is reached by {}, says Via: {via}",
                transport.as_str()
            )));
        }
        Ok(())
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
