//! Keys of the gateway: none in two dialogs, no key stream twice, nothing in the clear where keys were
//! said or are required.

use std::collections::BTreeMap;

use media::srtp::ReceiveContext;

use super::Violation;
use crate::peer::keys::{Key, is_rtp};
use crate::peer::session::Session;
use crate::peer::voice::Voice;

/// What the gateway said in one dialog.
#[derive(Debug, Default)]
struct Said {
    /// The last description is RTP/SAVP.
    secure: bool,
    /// Its keys for audio, the newest last.
    keys: Vec<(Key, ReceiveContext)>,
}

/// All keys of a gateway.
#[derive(Debug, Default)]
pub(crate) struct GatewayKeys {
    dialogs: BTreeMap<String, Said>,
    /// Where each key was said first: the dialog, and whether for video.
    owners: BTreeMap<Key, (String, bool)>,
    /// Packets that left under some key.
    protected: u64,
}

impl GatewayKeys {
    /// The gateway says this in a dialog.
    pub(crate) fn says(&mut self, call_id: &str, body: &str) -> Result<(), Violation> {
        let Some(Session { protection, .. }) = Session::read(body) else {
            return Ok(());
        };
        let audio = protection.audio.iter().map(|line| (line, false));
        let video = protection.video.iter().map(|line| (line, true));
        for (line, is_video) in audio.clone().chain(video) {
            let place = (call_id.to_owned(), is_video);
            let owner = self.owners.entry(line.key.clone());
            if *owner.or_insert_with(|| place.clone()) != place {
                return Err(Violation::of_dialog(
                    call_id,
                    "a key of the gateway has two lines or dialogs",
                ));
            }
        }
        let said = self.dialogs.entry(call_id.to_owned()).or_default();
        said.secure = protection.secure;
        for (line, _) in audio {
            if said.keys.iter().all(|(key, _)| *key != line.key) {
                said.keys.push((line.key.clone(), line.key.receive()));
            }
        }
        Ok(())
    }

    /// A packet leaves for the leg of this dialog: the voice in it, if it has some.
    pub(crate) fn leaves(
        &mut self,
        call_id: &str,
        is_required: bool,
        bytes: &[u8],
    ) -> Result<Option<Voice>, Violation> {
        let plain = Voice::read(bytes);
        let wrong = |text: &str| Err(Violation::of_dialog(call_id, text));
        let Some(said) = self.dialogs.get_mut(call_id) else {
            return Ok(plain);
        };
        if plain.is_some() && (said.secure || is_required) {
            return wrong("RTP in the clear where keys were said or are required");
        }
        if plain.is_some() || !is_rtp(bytes) {
            return Ok(plain);
        }
        for (_, receive) in said.keys.iter_mut().rev() {
            let mut packet = bytes.to_vec();
            match receive.unprotect_rtp(&mut packet) {
                Ok(unprotected) => {
                    receive.accept(unprotected);
                    self.protected += 1;
                    return Ok(packet.get(..unprotected.size).and_then(Voice::read));
                }
                // Another key's, or its own index a second time.
                Err(_refused) => {}
            }
        }
        if said.secure {
            return wrong("RTP that no key of its dialog authenticates, or an index twice");
        }
        Ok(None)
    }

    /// Packets that left under some key.
    pub(crate) const fn protected(&self) -> u64 {
        self.protected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::keys::{Habit, Keys};
    use crate::peer::session::Direction;
    use crate::peer::voice::Stamp;
    use crate::random::Generator;

    fn voice(sequence: u16, counter: u32) -> Vec<u8> {
        let stamp = Stamp { leg: 1, counter };
        Voice {
            payload_type: 8,
            marker: false,
            sequence,
            timestamp: 160,
            ssrc: 9,
            stamp,
        }
        .write()
    }

    /// A gateway's side of a dialog, and what it offers there.
    fn dialog(seed: u64) -> (Keys, String) {
        let mut keys = Keys::new(Some(Habit::Secure), false, Generator::new(seed, "gateway"));
        let session = |protection| Session {
            version: 1,
            rtp: "10.0.0.1:10000".parse().unwrap(),
            payloads: vec![8],
            direction: Direction::SendReceive,
            video: None,
            protection,
        };
        let offer = session(keys.offered());
        let mut peer = Keys::new(Some(Habit::Secure), false, Generator::new(seed, "peer"));
        peer.take(&offer);
        keys.take(&session(peer.answered()));
        (keys, offer.write())
    }

    fn refused<T>(outcome: Result<T, Violation>, expected: &str) {
        let text = outcome.err().expect(expected).text;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn what_leaves_in_the_clear_or_twice_or_under_a_key_of_another_dialog_is_caught() {
        let mut checker = GatewayKeys::default();
        let (mut keys, offer) = dialog(1);
        checker.says("a", &offer).unwrap();
        let first = keys.protect(voice(7, 0)).unwrap();
        let read = checker.leaves("a", false, &first).unwrap();
        assert_eq!(read, Voice::read(&voice(7, 0)));
        refused(checker.leaves("a", false, &first), "twice");
        refused(checker.leaves("a", false, &voice(8, 1)), "in the clear");
        let (mut others, other) = dialog(2);
        checker.says("b", &other).unwrap();
        let theirs = others.protect(voice(7, 0)).unwrap();
        refused(checker.leaves("a", false, &theirs), "no key of its dialog");
        refused(checker.says("b", &offer), "two lines or dialogs");
        assert_eq!(checker.protected(), 1);
    }

    #[test]
    fn where_keys_are_required_nothing_is_plain_whatever_was_said() {
        let mut checker = GatewayKeys::default();
        let (_, offer) = dialog(1);
        let lines = offer.replace("RTP/SAVP", "RTP/AVP");
        let lines = lines.lines().filter(|line| !line.starts_with("a=crypto"));
        let plain: Vec<&str> = lines.collect();
        checker.says("a", &(plain.join("\r\n") + "\r\n")).unwrap();
        assert!(checker.leaves("a", false, &voice(7, 0)).unwrap().is_some());
        refused(checker.leaves("a", true, &voice(8, 1)), "required");
    }
}
