//! The peers of a play whose legs have keys: they protect what they send, and hear nothing plain.

use std::collections::BTreeMap;

use super::engine::Script;
use crate::srtp::{MasterKey, ReceiveContext, SendContext, SrtpPlan, Suite};

/// The far ends, by slot.
#[derive(Default)]
pub(super) struct SecurePeers {
    ends: BTreeMap<u32, End>,
    /// Keys given so far: none is given twice.
    given: u16,
}

/// One far end. Its keys are kept while its leg is plain: they may come back.
struct End {
    plan: SrtpPlan,
    send: SendContext,
    receive: ReceiveContext,
    is_secure: bool,
}

impl SecurePeers {
    /// Keys for a plan: none, those that the leg has, or new ones for one direction or both.
    pub(super) fn draw(&mut self, slot: u32, script: &mut Script<'_>) -> Option<Box<SrtpPlan>> {
        let way = script.octet() % 8;
        let suite = script.one_of(&Suite::ALL)?;
        let held = self.ends.get(&slot).map(|end| end.plan.clone());
        match (way, held) {
            (0..=3, _) => None,
            (4 | 5, Some(held)) => Some(Box::new(held)),
            (6, Some(held)) => Some(Box::new(SrtpPlan {
                send: self.fresh(held.send.suite())?,
                ..held
            })),
            _ => Some(Box::new(SrtpPlan {
                send: self.fresh(suite)?,
                receive: self.fresh(suite)?,
            })),
        }
    }

    fn fresh(&mut self, suite: Suite) -> Option<MasterKey> {
        self.given = self.given.wrapping_add(1);
        let size = suite.key_size() + suite.salt_size();
        let octets: Vec<u8> = self
            .given
            .to_be_bytes()
            .into_iter()
            .cycle()
            .take(size)
            .collect();
        MasterKey::new(suite, &octets)
    }

    /// A plan took effect; of a leg that begins nothing is left of the one before.
    pub(super) fn agree(&mut self, slot: u32, plan: Option<&SrtpPlan>, is_new: bool) {
        if is_new {
            self.ends.remove(&slot);
        }
        let held = self.ends.get_mut(&slot);
        let Some(plan) = plan else {
            if let Some(end) = held {
                end.is_secure = false;
            }
            return;
        };
        match held {
            Some(end) => {
                end.is_secure = true;
                if end.plan.send != plan.send
                    && let Some(receive) = ReceiveContext::new(&plan.send)
                {
                    end.receive = receive;
                }
                if end.plan.receive != plan.receive
                    && let Some(send) = SendContext::new(&plan.receive)
                {
                    end.send = send;
                }
                end.plan = plan.clone();
            }
            None => {
                let contexts = SendContext::new(&plan.receive).zip(ReceiveContext::new(&plan.send));
                if let Some((send, receive)) = contexts {
                    let end = End {
                        plan: plan.clone(),
                        send,
                        receive,
                        is_secure: true,
                    };
                    self.ends.insert(slot, end);
                }
            }
        }
    }

    /// What the far end makes of octets: protected, if it can and the leg is secure.
    pub(super) fn protect(&mut self, slot: u32, is_control: bool, octets: &mut Vec<u8>) {
        let Some(end) = self.ends.get_mut(&slot).filter(|end| end.is_secure) else {
            return;
        };
        let plain = octets.len();
        let protected = if is_control {
            octets.resize(plain + end.send.rtcp_overhead(), 0);
            end.send.protect_rtcp(octets)
        } else {
            octets.resize(plain + end.send.rtp_overhead(), 0);
            end.send.protect_rtp(octets)
        };
        if protected.is_err() {
            octets.truncate(plain);
        }
    }

    /// A datagram that was sent to the far end of a slot.
    ///
    /// # Panics
    /// When the leg is secure and it is not protected, or its index came before.
    pub(super) fn hear(&mut self, slot: u32, is_control: bool, datagram: &[u8]) {
        let Some(end) = self.ends.get_mut(&slot).filter(|end| end.is_secure) else {
            return;
        };
        let mut copy = datagram.to_vec();
        let unprotected = if is_control {
            end.receive.unprotect_rtcp(&mut copy)
        } else {
            end.receive.unprotect_rtp(&mut copy)
        };
        assert_eq!(
            unprotected.err(),
            None,
            "what leaves a leg with keys is protected, and once"
        );
        if let Ok(unprotected) = unprotected {
            end.receive.accept(unprotected);
        }
    }
}
