//! What the signalling thread itself counts: messages by what they are, calls by how they ended.
//!
//! Plain numbers of one thread, published as a copy a few times a second. Every label is a word of
//! ours: what a peer invents is counted as `other`.

use std::collections::BTreeMap;

use crate::cdr::record::{LATE_ANSWER, Record};

/// Methods that have a counter of their own; the last takes all others.
const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "SUBSCRIBE",
    "NOTIFY",
    "MESSAGE",
    "PUBLISH",
    "other",
];
/// Status codes that have a counter of their own; the last takes all others.
const STATUSES: [&str; 38] = [
    "100", "180", "181", "182", "183", "199", "200", "202", "302", "400", "401", "403", "404",
    "405", "407", "408", "410", "413", "415", "420", "421", "422", "423", "480", "481", "482",
    "483", "484", "486", "487", "488", "489", "491", "500", "503", "504", "603", "other",
];
/// Words that a record may bring: causes and outcomes. All are ours; the bound is for errors.
const WORDS_MAX: usize = 128;

/// Messages one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    requests: [u64; METHODS.len()],
    responses: [u64; STATUSES.len()],
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            requests: [0; METHODS.len()],
            responses: [0; STATUSES.len()],
        }
    }
}

impl Messages {
    /// One more, told by its first line. What is no SIP is not counted here.
    pub fn count(&mut self, message: &[u8]) {
        if let Some(status) = message
            .strip_prefix(b"SIP/2.0 ")
            .and_then(|rest| rest.get(..3))
        {
            increase(&mut self.responses, &STATUSES, status);
            return;
        }
        let method = message
            .split(|octet| !octet.is_ascii_alphabetic())
            .next()
            .unwrap_or_default();
        if !method.is_empty() && message.get(method.len()) == Some(&b' ') {
            increase(&mut self.requests, &METHODS, method);
        }
    }

    /// Requests that have come or gone at all, by method.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        counted(&self.requests, &METHODS)
    }

    /// Responses, by status.
    pub fn responses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        counted(&self.responses, &STATUSES)
    }
}

fn increase(counts: &mut [u64], words: &[&str], word: &[u8]) {
    let known = words.iter().position(|known| known.as_bytes() == word);
    let index = known.unwrap_or_else(|| words.len().saturating_sub(1));
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
}

fn counted(
    counts: &[u64],
    words: &'static [&'static str],
) -> impl Iterator<Item = (&'static str, u64)> {
    let pairs = words.iter().copied().zip(counts.iter().copied());
    pairs.filter(|(_, count)| *count > 0)
}

/// Everything the thread counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages that came, of unknown sources too.
    pub received: Messages,
    /// Messages that went.
    pub sent: Messages,
    /// Messages that the kernel did not take.
    pub sends_failed: u64,
    /// Links that needed no question to the database.
    pub links_known: u64,
    /// Turns that began at their time and not with a message.
    pub turns_gathered: u64,
    /// Calls by the cause of their end.
    pub calls_ended: BTreeMap<String, u64>,
    /// Attempts by their outcome.
    pub attempts_ended: BTreeMap<String, u64>,
    /// Attempts that left, by trunk.
    pub trunk_attempts: BTreeMap<String, u64>,
    /// Records that storage has not taken yet.
    pub records_waiting: u64,
    /// Words of control that wait.
    pub words_waiting: u64,
}

impl Figures {
    /// A record passes.
    pub fn record(&mut self, record: &Record) {
        match record {
            Record::CallOpened(_) | Record::GuardCounts(_) | Record::Phones(_) => {}
            Record::AttemptOpened(opened) if !opened.dialed => {}
            Record::AttemptOpened(opened) => add(&mut self.trunk_attempts, &opened.trunk),
            // The attempt had ended before; its answer came too late.
            Record::AttemptClosed(closed) if closed.outcome == LATE_ANSWER => {}
            Record::AttemptClosed(closed) => add(&mut self.attempts_ended, &closed.outcome),
            Record::CallClosed(closed) => add(&mut self.calls_ended, &closed.cause),
        }
    }
}

fn add(counts: &mut BTreeMap<String, u64>, word: &str) {
    if let Some(count) = counts.get_mut(word) {
        *count += 1;
    } else if counts.len() < WORDS_MAX {
        counts.insert(word.to_owned(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_invents_has_no_label_of_its_own() {
        let mut messages = Messages::default();
        for message in [
            "INVITE sip:a@b SIP/2.0\r\n",
            "EXPLOIT sip:a@b SIP/2.0\r\n",
            "SIP/2.0 200 OK\r\n",
            "SIP/2.0 299 Odd\r\n",
            "SIP/2.0 9",
            "\r\n\r\n",
            "",
        ] {
            messages.count(message.as_bytes());
        }
        let requests: Vec<_> = messages.requests().collect();
        assert_eq!(requests, [("INVITE", 1), ("other", 1)]);
        let responses: Vec<_> = messages.responses().collect();
        assert_eq!(responses, [("200", 1), ("other", 1)]);
    }

    #[test]
    fn words_of_records_are_bounded() {
        let mut counts = BTreeMap::new();
        for number in 0..WORDS_MAX + 5 {
            add(&mut counts, &format!("word {number}"));
        }
        add(&mut counts, "word 0");
        assert_eq!(counts.len(), WORDS_MAX);
        assert_eq!(counts.get("word 0"), Some(&2));
    }
}
