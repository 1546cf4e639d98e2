//! What sipp writes down of its own messages: an account of a call that is not ours.

use std::fs;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::sipp::{scenario, sipp};
use crate::world::{Process, World};

/// sipp, which writes down each message with its time, by UTC.
pub(crate) fn tracing(world: &World, name: &str, address: &str, more: &[&str]) -> Process {
    let file = scenario(world, name, &[]);
    let mut command = sipp(address);
    command.args(more).args(["-sf", &file, "-m", "1"]);
    command.args(["-trace_msg", "-message_file", &format!("{name}.messages")]);
    world.start(name, command.env("TZ", "UTC"))
}

/// A message as its sender or receiver wrote it down.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) at: Timestamp,
    pub(crate) is_sent: bool,
    pub(crate) octets: String,
}

/// `---… TIME`, `UDP message sent (N bytes):` or `UDP message received [N] bytes :`, an empty line, N octets.
pub(crate) fn messages_of(world: &World, name: &str) -> Vec<Noted> {
    let log = fs::read_to_string(world.file(&format!("{name}.messages"))).expect("sipp's log");
    let mut noted = Vec::new();
    for block in log
        .split("-----------------------------------------------")
        .skip(1)
    {
        let (time, rest) = block.trim_start().split_once('\n').expect("a time");
        let (title, octets) = rest.split_once("\n\n").expect("a title");
        let length = title
            .split(['(', '[', ' ', ']'])
            .find_map(|word| word.parse().ok());
        let length: usize = length.expect("a length");
        let at: DateTime = time.trim().parse().expect("a date and a time");
        noted.push(Noted {
            at: at.to_zoned(TimeZone::UTC).expect("a time").timestamp(),
            is_sent: title.contains("sent"),
            octets: octets.get(..length).expect("a whole message").to_owned(),
        });
    }
    noted
}
