//! Which codecs a description of ours names where no peer's list says so: offers to a caller that
//! wants our offer, and full offers within a call. Pure.
//!
//! Nothing is decoded between the legs, so an offer to one side names what the other side can do,
//! with what it uses now in front: whoever takes the first codec needs no second exchange.
//!
//! This is the place of a plan for transcoding: `permitted` would name to one side what a worker can make
//! of the other's voice too, and who shares no voice (`share_voice`, 488 now) would be asked here for what
//! to decode and encode. Which trunks are tried at all is `has_common_codec` in `trunks::select`.

use sip::offer_answer::Codec;

/// What a side may speak: the codec names of its trunk in order; empty: all.
pub type Policy<'a> = &'a [String];

/// Every codec that we name on our own, as far as both policies take it: in the order of
/// `towards`, then of `other`, then ours.
#[must_use]
pub fn ours(towards: Policy<'_>, other: Policy<'_>) -> Vec<Codec> {
    let mut all: Vec<Codec> = TABLE.iter().map(Row::codec).collect();
    // A stable sort: what no policy orders keeps its place.
    all.sort_by_key(|codec| {
        (
            !codec.is_speech(),
            place(towards, codec),
            place(other, codec),
        )
    });
    permitted(&all, towards, other)
}

/// Of `codecs` those that both policies take, in their order. Events go along with any; those of a
/// clock that no voice has are left out where others are there.
#[must_use]
pub fn permitted(codecs: &[Codec], towards: Policy<'_>, other: Policy<'_>) -> Vec<Codec> {
    let takes = |codec: &&Codec| place(towards, codec).is_some() && place(other, codec).is_some();
    let mut kept: Vec<Codec> = codecs.iter().filter(takes).cloned().collect();
    let clocks: Vec<u32> = kept
        .iter()
        .filter(|codec| codec.is_speech())
        .map(Codec::rtp_clock_hz)
        .collect();
    let suits = |event: &Codec| clocks.contains(&event.clock_rate_hz);
    let any_suits = kept
        .iter()
        .any(|codec| codec.is_telephone_event() && suits(codec));
    kept.retain(|codec| !codec.is_telephone_event() || !any_suits || suits(codec));
    kept
}

/// `first`, then what of `rest` is not in it; voice before events.
#[must_use]
pub fn led_by(first: &[Codec], rest: &[Codec]) -> Vec<Codec> {
    let mut led: Vec<Codec> = Vec::with_capacity(first.len() + rest.len());
    for codec in first.iter().chain(rest) {
        if !led.iter().any(|taken| taken.is_same(codec)) {
            led.push(codec.clone());
        }
    }
    led.sort_by_key(|codec| !codec.is_speech());
    led
}

/// True where a packet of one side can be understood on the other.
#[must_use]
pub fn share_voice(one: &[Codec], other: &[Codec]) -> bool {
    one.iter()
        .filter(|codec| codec.is_speech())
        .any(|codec| other.iter().any(|known| known.is_same(codec)))
}

/// `None`: not taken. Without a list everything has the same place.
fn place(policy: Policy<'_>, codec: &Codec) -> Option<usize> {
    if policy.is_empty() || !codec.is_speech() {
        return Some(0);
    }
    policy
        .iter()
        .position(|name| name.eq_ignore_ascii_case(&codec.name))
}

struct Row {
    payload_type: u8,
    name: &'static str,
    clock_rate_hz: u32,
    channels: u8,
    fmtp: Option<&'static str>,
}

impl Row {
    fn codec(&self) -> Codec {
        Codec {
            payload_type: self.payload_type,
            name: self.name.into(),
            clock_rate_hz: self.clock_rate_hz,
            channels: self.channels,
            fmtp: self.fmtp.map(Into::into),
        }
    }
}

const WIDE_HZ: u32 = 48_000;

const fn row(
    payload_type: u8,
    name: &'static str,
    clock_rate_hz: u32,
    channels: u8,
    fmtp: Option<&'static str>,
) -> Row {
    Row {
        payload_type,
        name,
        clock_rate_hz,
        channels,
        fmtp,
    }
}

/// The best sound first; telephone-event is 101 as CUCM has it (H-01), and has the clock of the
/// codec it goes with.
const TABLE: [Row; 7] = [
    row(111, "opus", WIDE_HZ, 2, Some("useinbandfec=1")),
    row(9, "G722", 8_000, 1, None),
    row(8, "PCMA", 8_000, 1, None),
    row(0, "PCMU", 8_000, 1, None),
    row(18, "G729", 8_000, 1, None),
    row(101, "telephone-event", 8_000, 1, Some("0-15")),
    row(102, "telephone-event", WIDE_HZ, 1, Some("0-15")),
];

const _: () = assert!(
    TABLE.len() <= super::leg::CODECS_MAX,
    "an offer holds them all"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(codecs: &[Codec]) -> Vec<String> {
        codecs
            .iter()
            .map(|codec| format!("{}/{}", codec.name, codec.clock_rate_hz))
            .collect()
    }

    fn policy(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn without_a_policy_everything_is_named_with_events_of_both_clocks() {
        assert_eq!(
            names(&ours(&[], &[])),
            [
                "opus/48000",
                "G722/8000",
                "PCMA/8000",
                "PCMU/8000",
                "G729/8000",
                "telephone-event/8000",
                "telephone-event/48000"
            ]
        );
    }

    #[test]
    fn policy_of_the_side_that_is_offered_to_gives_the_order_and_both_say_what() {
        let (towards, other) = (policy(&["pcmu", "G722", "PCMA"]), policy(&["PCMA", "PCMU"]));
        assert_eq!(
            names(&ours(&towards, &other)),
            ["PCMU/8000", "PCMA/8000", "telephone-event/8000"]
        );
        assert_eq!(
            names(&ours(&[], &other)),
            ["PCMA/8000", "PCMU/8000", "telephone-event/8000"]
        );
    }

    #[test]
    fn policies_without_a_common_codec_leave_no_voice() {
        let found = ours(&policy(&["PCMU"]), &policy(&["PCMA"]));
        assert!(!found.iter().any(Codec::is_speech), "{:?}", names(&found));
    }

    #[test]
    fn what_is_in_use_leads_and_stands_once() {
        let all = ours(&[], &[]);
        let used = vec![all[3].clone(), all[5].clone()];
        assert_eq!(
            names(&led_by(&used, &all)),
            [
                "PCMU/8000",
                "opus/48000",
                "G722/8000",
                "PCMA/8000",
                "G729/8000",
                "telephone-event/8000",
                "telephone-event/48000"
            ]
        );
        assert!(share_voice(&used, &all));
        assert!(!share_voice(&used, &all[..3]), "events are no voice");
    }
}
