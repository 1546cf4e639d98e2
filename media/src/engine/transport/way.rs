//! The way to a browser: media goes nowhere that nothing has answered from. A check, and media under keys too, say who
//! sent them and not from where; so each source of a check is asked, and until it answers (or a handshake ends
//! of which all went there) it gets nothing but that, and as much of a handshake as its hello is worth.

use std::net::SocketAddr;

use packet_io::{PacketBuf, PacketIo};
use rand_core::RngCore;

use crate::drop_reason::DropReason;
use crate::engine::transport::send_copy;
use crate::engine::worker::Worker;
use crate::ice::{Ask, Change, Refusal};
use crate::ingress::PeerAddress;

impl<Io: PacketIo> Worker<Io> {
    /// Asks the sources of a browser that are to be asked by now.
    pub(super) fn ask_sources(&mut self, now_us: u64, audio: u32) {
        while let Some(ask) = self.next_ask(now_us, audio) {
            match ask.request {
                Some(request) => self.send_ask(ask.to, &request),
                None => self.counters.transport.ways_unproven += 1,
            }
        }
    }

    fn next_ask(&mut self, now_us: u64, audio: u32) -> Option<Ask> {
        let now = self.instant(now_us)?;
        let transport = self.transports.of_audio_mut(audio)?;
        transport.agent.ask_at().filter(|at| *at <= now)?;
        let mut fresh = [0; 12];
        self.random.fill_bytes(&mut fresh);
        transport.agent.poll_ask(now, &fresh)
    }

    fn send_ask(&mut self, to: SocketAddr, octets: &[u8]) {
        let Some(socket) = self.transports.socket() else {
            return;
        };
        let missing = &mut self.counters.buffers_missing;
        if send_copy(&mut self.io, missing, octets, (socket, Some(to))) {
            self.counters.transport.ways_asked += 1;
        }
    }

    /// A message of STUN that answers something.
    pub(super) fn receive_response(
        &mut self,
        now_us: u64,
        source: SocketAddr,
        packet: &PacketBuf,
    ) -> Result<(), DropReason> {
        let address = PeerAddress::from(source);
        let checked = self.transports.of_check(&address);
        let known = checked.or_else(|| self.transports.of_source(now_us, &address));
        let Some(audio) = known.map(|transport| transport.audio) else {
            return Err(self.refuse_check(Refusal::Response));
        };
        self.in_hand = Some(audio);
        let transport = self
            .transports
            .of_audio_mut(audio)
            .ok_or(DropReason::StunRefused)?;
        match transport.agent.take_response(source, packet.bytes()) {
            Ok(change) => {
                self.counters.transport.ways_proven += 1;
                self.follow_way(now_us, audio, address, (change, false));
                Ok(())
            }
            Err(refusal) => Err(self.refuse_check(refusal)),
        }
    }

    /// What was sent there has reached the browser.
    pub(super) fn reach(&mut self, now_us: u64, audio: u32, place: PeerAddress) {
        let Some(transport) = self.transports.of_audio_mut(audio) else {
            return;
        };
        let address = place.socket_address();
        if transport.agent.is_reached(address) {
            return;
        }
        let change = transport.agent.reach(address);
        self.counters.transport.ways_proven += 1;
        self.follow_way(now_us, audio, place, (change, true));
    }

    /// Media may go there now, and does if that is where the browser is.
    fn follow_way(
        &mut self,
        now_us: u64,
        audio: u32,
        place: PeerAddress,
        (change, is_keyed): (Change, bool),
    ) {
        match change {
            Change::Nominated(address) => self.nominate(now_us, audio, address, is_keyed),
            Change::None => {
                let transport = self.transports.of_audio(audio);
                if transport.is_some_and(|it| it.nominated == Some(place)) {
                    self.follow_nomination(audio);
                }
            }
        }
        self.schedule(now_us, audio);
    }

    /// True if this is where a browser will be, as soon as it answers from there.
    pub(super) fn is_awaited(&self, audio: u32, place: PeerAddress) -> bool {
        let transport = self.transports.of_audio(audio);
        transport.is_some_and(|it| it.agent.is_wanted(place.socket_address()))
    }
}
