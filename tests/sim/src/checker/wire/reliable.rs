//! Reliable provisional responses and their PRACK, as an observer sees them (RFC 3262).

use std::collections::{BTreeMap, BTreeSet};

use crate::peer::session::Session;
use crate::peer::text::Text;

/// What was said reliably, in both directions, by Call-ID.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    /// Of peers: what a PRACK of the gateway may name.
    heard: BTreeSet<(String, String)>,
    /// Of the gateway: the last number, and whether it waits for its PRACK with an answer in it.
    said: BTreeMap<String, Said>,
}

#[derive(Debug, Clone)]
struct Said {
    rseq: u32,
    /// As it left: it may come again, whatever came between.
    text: Text,
    waits: bool,
    has_answer: bool,
}

impl Reliable {
    /// This reached the gateway.
    pub(super) fn arrived(&mut self, message: &Text) {
        let call_id = message.call_id();
        if message.status().is_some() {
            if let (Some(rseq), Some(cseq)) = (message.header("RSeq"), message.header("CSeq")) {
                let named = format!("{rseq} {cseq}");
                let _ = self.heard.insert((call_id.to_owned(), named));
            }
            return;
        }
        let Some(rack) = message.header("RAck") else {
            return;
        };
        if let Some(said) = self.said.get_mut(call_id)
            && rack.split(' ').next() == Some(&said.rseq.to_string())
        {
            said.waits = false;
        }
    }

    /// The gateway sends this request for the first time.
    pub(super) fn asks(&self, message: &Text) -> Result<(), String> {
        if message.request_method() != Some("PRACK") {
            return Ok(());
        }
        let rack = message.header("RAck").ok_or("a PRACK without RAck")?;
        let named = (message.call_id().to_owned(), rack.to_owned());
        if self.heard.contains(&named) {
            Ok(())
        } else {
            Err(format!("a PRACK for {rack}, which nobody said"))
        }
    }

    /// The gateway sends this response to an INVITE for the first time.
    pub(super) fn answers(&mut self, message: &Text) -> Result<(), String> {
        let call_id = message.call_id();
        let before = self.said.get(call_id).cloned();
        let status = message.status().unwrap_or(0);
        if status >= 200 {
            let _ = self.said.remove(call_id);
            let is_owed = before.is_some_and(|said| said.waits && said.has_answer);
            return if is_owed && status < 300 {
                Err("a 2xx before the PRACK of its answer (RFC 3262 §3)".to_owned())
            } else {
                Ok(())
            };
        }
        let Some(rseq) = message.header("RSeq") else {
            return Ok(());
        };
        let rseq = rseq.parse().map_err(|_none| "an RSeq that is no number")?;
        let Some(before) = before else {
            return self.keep(message, rseq);
        };
        if before.waits && before.text == *message {
            return Ok(());
        }
        if before.waits {
            return Err("a reliable response before the PRACK of the last one".to_owned());
        }
        if rseq != before.rseq + 1 {
            return Err(format!("RSeq {rseq} after {} (RFC 3262 §3)", before.rseq));
        }
        self.keep(message, rseq)
    }

    fn keep(&mut self, message: &Text, rseq: u32) -> Result<(), String> {
        let said = Said {
            rseq,
            text: message.clone(),
            waits: true,
            has_answer: Session::read(&message.body).is_some(),
        };
        let _ = self.said.insert(message.call_id().to_owned(), said);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(start: &str, headers: &[(&str, &str)], body: &str) -> Text {
        let text = Text {
            start: start.to_owned(),
            headers: Vec::new(),
            body: body.to_owned(),
        };
        let text = text.with("Call-ID", "1").with("CSeq", "1 INVITE");
        let headers = headers.iter();
        headers.fold(text, |text, (name, value)| text.with(name, *value))
    }

    const SDP: &str = "c=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\n";

    #[test]
    fn a_2xx_before_the_prack_of_its_answer_is_caught() {
        for (pracked, is_fine) in [(false, false), (true, true)] {
            let mut reliable = Reliable::default();
            let ringing = text("SIP/2.0 183 x", &[("RSeq", "5")], SDP);
            reliable.answers(&ringing).unwrap();
            if pracked {
                reliable.arrived(&text("PRACK sip:a SIP/2.0", &[("RAck", "5 1 INVITE")], ""));
            }
            let answered = reliable.answers(&text("SIP/2.0 200 OK", &[], ""));
            assert_eq!(answered.is_ok(), is_fine, "{answered:?}");
        }
    }

    #[test]
    fn a_prack_for_nothing_and_a_gap_of_rseq_are_caught() {
        let mut reliable = Reliable::default();
        let prack = text("PRACK sip:a SIP/2.0", &[("RAck", "5 1 INVITE")], "");
        assert!(reliable.asks(&prack).is_err());
        reliable.arrived(&text("SIP/2.0 183 x", &[("RSeq", "5")], ""));
        assert_eq!(reliable.asks(&prack), Ok(()));
        let said = |rseq| text("SIP/2.0 180 x", &[("RSeq", rseq)], "");
        reliable.answers(&said("5")).unwrap();
        assert!(reliable.answers(&said("6")).is_err(), "one at a time");
        reliable.arrived(&prack);
        assert!(reliable.answers(&said("7")).is_err(), "a gap");
        reliable.answers(&said("6")).unwrap();
    }
}
