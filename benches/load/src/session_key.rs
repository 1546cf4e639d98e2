//! SRTP keys of the load's own ends, as SDES has them (RFC 4568): made, written into descriptions,
//! read from them.
//!
//! They protect nothing but speech that is no speech, so they come from a counter and not from
//! randomness.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use media::srtp::{MasterKey, ReceiveContext, SendContext, Suite};

use crate::resolve::Keys;

/// A master key and its salt under the one suite that every peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionKey([u8; KEY_OCTETS]);

/// What an end sends and receives under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndKeys {
    pub(crate) send: SessionKey,
    pub(crate) receive: SessionKey,
}

impl SessionKey {
    /// Another one for each seed.
    pub(crate) fn made(seed: u64) -> Self {
        let mut keys = Keys { state: seed };
        let mut octets = [0; KEY_OCTETS];
        for octet in &mut octets {
            *octet = u8::try_from(keys.next(256)).unwrap_or_default();
        }
        Self(octets)
    }

    /// The attribute that names it.
    pub(crate) fn attribute(self, tag: u32) -> String {
        let inline = base64(&self.0);
        format!("a=crypto:{tag} {} inline:{inline}\r\n", SUITE.as_str())
    }

    /// Tag and key in a description, where it has one under our suite.
    pub(crate) fn described(body: &str) -> Option<(u32, Self)> {
        body.lines().find_map(|line| {
            let mut words = line.strip_prefix("a=crypto:")?.split_whitespace();
            let tag = words.next()?.parse().ok()?;
            if words.next()? != SUITE.as_str() {
                return None;
            }
            let inline = words.next()?.strip_prefix("inline:")?;
            let key = from_base64(inline.split('|').next()?)?;
            Some((tag, Self(key.try_into().ok()?)))
        })
    }

    fn master(self) -> Option<MasterKey> {
        MasterKey::new(SUITE, &self.0)
    }
}

/// An end's contexts.
pub(crate) struct SecureEnd {
    pub(crate) send: SendContext,
    pub(crate) receive: ReceiveContext,
}

impl std::fmt::Debug for SecureEnd {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SecureEnd").finish_non_exhaustive()
    }
}

impl SecureEnd {
    /// # Errors
    /// The cipher refuses a key.
    pub(crate) fn new(keys: EndKeys) -> Result<Self> {
        let send = keys.send.master().and_then(|key| SendContext::new(&key));
        let receive = keys
            .receive
            .master()
            .and_then(|key| ReceiveContext::new(&key));
        Ok(Self {
            send: send.context("a key to send under")?,
            receive: receive.context("a key to receive under")?,
        })
    }
}

/// Makes a description with a plain stream one with keys.
pub(crate) fn secured(description: &str, key: SessionKey, tag: u32) -> String {
    let mut text = description.replace(" RTP/AVP ", " RTP/SAVP ");
    text.push_str(&key.attribute(tag));
    text
}

/// Where an end sends to, and under which keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) to: SocketAddr,
    pub(crate) keys: Option<EndKeys>,
}

fn base64(octets: &[u8]) -> String {
    let mut text = String::new();
    for group in octets.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = (bits << 8) | u32::from(group.get(place).copied().unwrap_or_default());
        }
        for place in 0..4 {
            if place > group.len() {
                text.push('=');
                continue;
            }
            let index = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or_default();
            text.push(ALPHABET.get(index).copied().map_or('A', char::from));
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut octets, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from((bits >> count) & 255).ok()?);
        }
    }
    Some(octets)
}

const SUITE: Suite = Suite::AesCm128HmacSha1_80;
/// Key and salt (RFC 4568 §6.2.1).
const KEY_OCTETS: usize = 30;
/// Octets that a packet grows by.
pub(crate) const TAG_OCTETS: usize = 10;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use media::drop_reason::DropReason;

    use super::*;

    #[test]
    fn octets_are_written_as_rfc_4648_has_them_and_read_again() {
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(octets.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(octets.as_bytes()));
        }
        assert_eq!(from_base64("a b"), None);
    }

    #[test]
    fn a_key_in_a_description_is_found_again_under_our_suite_only() {
        let key = SessionKey::made(7);
        let text = secured("m=audio 4 RTP/AVP 0\r\n", key, 3);
        assert!(text.starts_with("m=audio 4 RTP/SAVP 0\r\na=crypto:3 AES_CM"));
        assert_eq!(SessionKey::described(&text), Some((3, key)));
        let other = text.replace("_80", "_32");
        assert_eq!(SessionKey::described(&other), None);
        assert_ne!(key, SessionKey::made(8));
    }

    #[test]
    fn what_one_end_sends_the_other_believes_once() {
        let (one, other) = (SessionKey::made(1), SessionKey::made(2));
        let keys = |send, receive| EndKeys { send, receive };
        let mut sender = SecureEnd::new(keys(one, other)).expect("keys");
        let mut receiver = SecureEnd::new(keys(other, one)).expect("keys");
        let mut packet = [0x80_u8; 12 + 20 + TAG_OCTETS];
        packet[1] = 0;
        sender.send.protect_rtp(&mut packet).expect("protected");
        let mut again = packet;
        let found = receiver.receive.unprotect_rtp(&mut packet).expect("ours");
        assert_eq!(found.size, 32);
        assert_eq!(packet[12..32], [0x80; 20]);
        receiver.receive.accept(found);
        let refused = receiver.receive.unprotect_rtp(&mut again);
        assert_eq!(refused, Err(DropReason::SrtpReplay));
    }
}
