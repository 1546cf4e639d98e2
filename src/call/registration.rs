//! Our REGISTER towards trunks: `registration` says when, the endpoint sends, the answer goes back.

use rand_core::RngCore;
use sip::event::{Flow, Register, RegisterKey, RegisterOutcome};
use sip::message::Uri;

use super::command::RegistrationState;
use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};
use super::invite::credentials;
use crate::registration::{Change, Outcome};
use crate::trunks::model::Trunk;

/// A registration that never gets a final response is over after this long (RFC 3261 timer F).
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(32);

impl CallControl {
    pub(super) fn send_registers(&mut self, now: Now) {
        while let Some(id) = self.registrations.poll_due(now.instant) {
            let snapshot = std::sync::Arc::clone(&self.snapshot);
            let trunk = snapshot.trunks.iter().find(|trunk| trunk.id == id);
            let sent = trunk.is_some_and(|trunk| self.send_register(now, trunk));
            if !sent {
                self.register_ended(now, &id, Outcome::NoAnswer);
            }
        }
    }

    /// The same key for the same trunk: the Call-ID stays and `CSeq` rises (RFC 3261 §10.2.4).
    fn send_register(&mut self, now: Now, trunk: &Trunk) -> bool {
        if let Some(key) = self.register_key(&trunk.id) {
            let again = self
                .endpoint
                .refresh_register(now.instant, key, trunk.register_expires);
            if again.is_ok() {
                return true;
            }
            self.forget_register(key);
        }
        let Some(register) = self.register(trunk) else {
            return false;
        };
        match self.endpoint.register(now.instant, register) {
            Ok(key) => {
                self.registers.insert(key, trunk.id.clone());
                true
            }
            Err(_declined) => false,
        }
    }

    fn register(&self, trunk: &Trunk) -> Option<Register> {
        let targets = trunk.targets.iter();
        let target = targets.min_by_key(|target| target.priority)?.address;
        let flow: Flow = self.path_to(trunk, target);
        let address = target.ip().to_string();
        let host = trunk.request_host.as_deref().unwrap_or(&address);
        let own = self.own_host(flow.local);
        let domain = trunk.from_host.as_deref().unwrap_or(host);
        let user = trunk.username.as_deref().unwrap_or(&trunk.label);
        debug_assert!(trunk.register, "only who wants it is registered with");
        debug_assert!(!own.is_empty(), "our Contact has a host");
        Some(Register {
            flow,
            registrar: Uri::sip(None, host, None)?,
            aor: Uri::sip(Some(user), domain, None)?,
            contact_user: user.into(),
            expires: trunk.register_expires,
            credentials: credentials(trunk),
            timeout: TIMEOUT,
        })
    }

    pub(super) fn handle_register_ended(
        &mut self,
        now: Now,
        key: RegisterKey,
        outcome: RegisterOutcome,
    ) {
        let Some(id) = self.registers.get(&key).cloned() else {
            return;
        };
        let outcome = match outcome {
            RegisterOutcome::Registered {
                expires,
                service_route,
            } => Outcome::Registered {
                expires,
                service_route,
            },
            RegisterOutcome::Refused(status, retry_after) => Outcome::Refused {
                status: status.code(),
                retry_after,
            },
            RegisterOutcome::NoResponse | RegisterOutcome::TransportFailed => Outcome::NoAnswer,
        };
        self.register_ended(now, &id, outcome);
    }

    fn register_ended(&mut self, now: Now, id: &str, outcome: Outcome) {
        let named = self.snapshot.named(id);
        let detail = match &outcome {
            Outcome::Registered { expires, .. } => {
                format!("trunk {named} for {} s", expires.as_secs())
            }
            Outcome::Refused { status, .. } => format!("trunk {named} answered {status}"),
            Outcome::NoAnswer => format!("trunk {named} did not answer"),
        };
        let chance = self.random.next_u32();
        let (event, level) = match self.registrations.ended(id, outcome, chance, now.instant) {
            Change::None => return,
            Change::Registered => ("trunk_registered", Level::Note),
            Change::Lost => ("trunk_not_registered", Level::Warning),
        };
        self.put(Output::Log(LogLine {
            level,
            event,
            call: None,
            detail,
        }));
    }

    /// How our registration with a trunk is, for somebody outside.
    pub(super) fn registration_state(&self, now: Now, trunk: &str) -> Option<RegistrationState> {
        let view = self.registrations.of(trunk, now.instant)?;
        Some(RegistrationState {
            standing: view.standing,
            expires_at: view.held_until.map(|until| now.wall(until)),
            next_at: view.due.map(|due| now.wall(due)),
            failures: view.failures,
            last_refusal: view
                .last_failure
                .map(|failure| (now.wall(failure.at), failure.status)),
        })
    }

    /// The keys of trunks that are gone, or that want no REGISTER any more.
    pub(super) fn keep_registers(&mut self) {
        let gone: Vec<RegisterKey> = self
            .registers
            .iter()
            .filter(|(_, id)| {
                let wants = |trunk: &Trunk| trunk.id == **id && trunk.enabled && trunk.register;
                !self.snapshot.trunks.iter().any(wants)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.forget_register(key);
        }
    }

    fn register_key(&self, trunk: &str) -> Option<RegisterKey> {
        let mut all = self.registers.iter();
        all.find(|(_, id)| *id == trunk).map(|(key, _)| *key)
    }

    fn forget_register(&mut self, key: RegisterKey) {
        self.registers.remove(&key);
        let told = self.endpoint.forget_register(key);
        self.check(told);
    }
}
