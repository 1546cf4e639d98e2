//! OPTIONS towards trunks: `trunks::health` says when, the endpoint sends, the answer goes back.

use sip::event::{Ping, PingKey};
use sip::message::{StatusCode, Uri};

use super::command::{CommandOutcome, CommandRefusal};
use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};
use crate::trunks::health::{Change, PING_TIMEOUT, TargetKey};

impl CallControl {
    pub(super) fn send_pings(&mut self, now: Now) {
        while let Some(target) = self.health.poll_ping(now.instant) {
            let sent = self
                .ping(&target)
                .map(|ping| self.endpoint.ping(now.instant, ping));
            if let Some(Ok(key)) = sent {
                self.pings.insert(key, target);
            } else {
                self.health.ping_ended(&target, None, now.instant);
            }
        }
    }

    pub(super) fn ping_trunk(
        &mut self,
        now: Now,
        trunk: &str,
    ) -> Result<CommandOutcome, CommandRefusal> {
        if !self.snapshot.trunks.iter().any(|known| known.id == trunk) {
            return Err(CommandRefusal::NoSuchTrunk);
        }
        self.health.ask_now(trunk, now.instant);
        Ok(CommandOutcome::TrunkPinged)
    }

    fn ping(&self, target: &TargetKey) -> Option<Ping> {
        let address = target.address;
        let mut trunks = self.snapshot.trunks.iter();
        let trunk = trunks.find(|trunk| trunk.id == target.trunk)?;
        let flow = self.path_to(trunk, address);
        Some(Ping {
            flow,
            request_uri: Uri::sip(None, &address.ip().to_string(), Some(address.port()))?,
            from: Uri::sip(None, &self.own_host(flow.local), None)?,
            timeout: PING_TIMEOUT,
        })
    }

    pub(super) fn handle_ping_ended(
        &mut self,
        now: Now,
        ping: PingKey,
        status: Option<StatusCode>,
    ) {
        let Some(target) = self.pings.remove(&ping) else {
            return;
        };
        let status = status.map(StatusCode::code);
        let (event, level) = match self.health.ping_ended(&target, status, now.instant) {
            Change::None => return,
            Change::Up => ("trunk_up", Level::Note),
            Change::Down => ("trunk_down", Level::Warning),
        };
        let named = self.snapshot.named(&target.trunk);
        self.put(Output::Log(LogLine {
            level,
            event,
            call: None,
            detail: format!("trunk {named} target {}", target.address),
        }));
    }
}
