//! Every limit of the media core, with what it is derived from.

use std::time::Duration;

use crate::command::MediaKind;

/// Addresses that peers know our ports by, beside those that they are bound to: the source of a packet is
/// compared with each.
pub const ADVERTISED_MAX: usize = 16;

/// Packets a second that one leg may bring for long: ten times what 20 ms framing needs, so that
/// 2.5 ms framing passes and a flood does not.
pub const LEG_PACKETS_PER_SECOND_MAX: u32 = 500;

/// Packets that one leg may bring at once beyond that rate: what a peer with 10 ms framing sends
/// in a stall of two seconds and a half.
pub const LEG_BURST_PACKETS_MAX: u32 = 250;

/// RTCP packets a second that one leg may bring for long: RFC 3550 §6.2 stays far below it.
pub const LEG_RTCP_PER_SECOND_MAX: u32 = 25;

/// RTCP packets that one leg may bring at once beyond that rate.
pub const LEG_RTCP_BURST_MAX: u32 = 25;

/// A peer is asked for a keyframe no more often than this: one takes a second of its bit rate, and
/// whoever lost it asks again.
pub const KEYFRAME_REQUEST_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// Transport-wide feedback that comes so soon after the first since a change of source is not passed on: longer
/// than it is under way, and shorter than anybody's estimate of bandwidth bears without any.
pub const ARRIVALS_SETTLE: Duration = Duration::from_millis(500);

/// Reports of ours about a stream whose source sends no sender reports, before they become sender reports by
/// our own clock: after two of the longest intervals of RFC 3550 §6.3.1 a source that reports has done so.
pub const OWN_REPORT_AFTER: u8 = 3;

/// Octets of a compound packet that is sent: no part of it needs a fragment.
pub const COMPOUND_BYTES_MAX: usize = 1_200;

/// Feedback packets that are read in one compound.
pub const FEEDBACK_PARTS_MAX: usize = 16;

/// Packets a second that one video leg may bring for long: twice what a sender of 10 Mbit/s makes in
/// packets of 1,200 octets, because some codecs cut a picture into many small slices.
pub const VIDEO_PACKETS_PER_SECOND_MAX: u32 = 2 * VIDEO_BITS_PER_SECOND_MAX / VIDEO_PACKET_BITS;

/// Packets that one video leg may bring at once beyond that rate: half a second of that sender, or two
/// keyframes of 300 KiB sent without any pause, as senders of screens do.
pub const VIDEO_BURST_PACKETS_MAX: u32 = VIDEO_BITS_PER_SECOND_MAX / VIDEO_PACKET_BITS / 2;

/// The fastest video that is relayed: 1080p at 60 frames a second, with room to spare.
const VIDEO_BITS_PER_SECOND_MAX: u32 = 10_000_000;

/// What senders of video fill a packet with.
const VIDEO_PACKET_BITS: u32 = 1_200 * 8;

/// RTCP packets a second that one video leg may bring for long: transport feedback every 20 ms
/// (50 a second), and as many NACKs and keyframe requests under loss.
pub const VIDEO_RTCP_PER_SECOND_MAX: u32 = 100;

/// RTCP packets that one video leg may bring at once beyond that rate.
pub const VIDEO_RTCP_BURST_MAX: u32 = 100;

/// Rate and burst of RTP that a leg of this kind may bring.
#[must_use]
pub const fn rtp_rate(kind: MediaKind) -> (u32, u32) {
    match kind {
        MediaKind::Audio => (LEG_PACKETS_PER_SECOND_MAX, LEG_BURST_PACKETS_MAX),
        MediaKind::Video => (VIDEO_PACKETS_PER_SECOND_MAX, VIDEO_BURST_PACKETS_MAX),
    }
}

/// Rate and burst of RTCP that a leg of this kind may bring.
#[must_use]
pub const fn rtcp_rate(kind: MediaKind) -> (u32, u32) {
    match kind {
        MediaKind::Audio => (LEG_RTCP_PER_SECOND_MAX, LEG_RTCP_BURST_MAX),
        MediaKind::Video => (VIDEO_RTCP_PER_SECOND_MAX, VIDEO_RTCP_BURST_MAX),
    }
}

/// `MAX_MISORDER` of RFC 3550 A.1: a packet of audio that is further behind is a jump.
pub const AUDIO_MISORDER_MAX: u16 = 100;

/// The same for video, whose senders send again what a listener asks for (RFC 4585): a second and more
/// of a stream at 10 Mbit/s.
pub const VIDEO_MISORDER_MAX: u16 = 3_000;

/// Packets of one source in a row, of a negotiated payload type, before it is believed.
pub const LATCH_PACKETS_MIN: u8 = 4;

/// Who holds a leg that admits any source is not displaced by its like after speaking for this long:
/// longer than a spray over all ports stays at one.
pub const LATCH_CONFIRM: Duration = Duration::from_secs(1);

/// Who holds a leg with keys and was heard within this time goes on: a packet that says that it is from
/// a better place does not displace it.
pub const LATCH_SPEAKS: Duration = Duration::from_millis(100);

/// Packets that keys have authenticated prove their source when they come over at least this time: who sent them
/// first sends the next one meanwhile, and is then the one with the later packets.
pub const LATCH_PROOF_MIN: Duration = Duration::from_millis(50);

/// How long the old source is heard after a new offer/answer moved the peer.
pub const LATCH_GRACE: Duration = Duration::from_secs(2);

/// How long a peer that offered another key is heard under the one before, unless the new one is heard
/// sooner: until the answer that it waits for cannot come any more (64 * T1, RFC 3261 §13.3.1.4).
pub const KEY_GRACE: Duration = Duration::from_secs(32);

/// How long a leg has to be unchanged before its socket is connected to its peer.
pub const CONNECT_STABLE_MIN: Duration = Duration::from_secs(1);

/// Silence after which a connected socket is opened to other sources again.
pub const CONNECT_SILENCE_MAX: Duration = Duration::from_secs(1);

/// A port that was used rests this long if the pool allows.
pub const PORT_REST: Duration = Duration::from_secs(30);

/// A port that was used rests at least this long.
pub const PORT_REST_MIN: Duration = Duration::from_secs(2);

/// The sockets of a leg that was heard stay open so long after its end, at most: what its peer still
/// sends is taken in and counted, and not answered by ICMP. A part of the rest.
pub const PORT_DRAIN: Duration = Duration::from_secs(2);

/// Unheard pairs that come back from calls are kept open up to this many times the stock.
pub const STOCK_KEPT_FACTOR: u32 = 2;

/// What a leg has to do without a packet (a report, a look at its socket, a timeout) is done at multiples
/// of this: two thousand legs that each end a wait of their own would halve the batches of packets.
pub const DEADLINE_STEP: Duration = Duration::from_millis(10);

/// After the kernel had no descriptor left: the next try.
pub const OPEN_RETRY: Duration = Duration::from_secs(1);

/// Pairs opened in one turn, so that filling the stock never delays a packet for long.
pub const OPENS_PER_TURN_MAX: u32 = 8;

/// Packets that a turn waits for at most.
pub const WANT_PACKETS_MAX: u32 = 512;

/// The packet rate that decides how many to wait for is measured this often.
pub const RATE_WINDOW: Duration = Duration::from_millis(100);

/// The load of a worker, by which calls are placed, is measured this often.
pub const LOAD_WINDOW: Duration = Duration::from_secs(1);

/// A load is said again when it has changed by this part of itself,
pub const LOAD_STEP: u32 = 8;

/// and by this many packets a second at least: one direction of a call.
pub const LOAD_STEP_MIN: u32 = 50;

/// Octets of a STUN message that is read: what a datagram holds without fragments, with a USERNAME of
/// 513 octets (RFC 8489 §14.3) and room to spare.
pub const STUN_MESSAGE_BYTES_MAX: usize = 1_500;

/// Attributes of a STUN message that are read: browsers send nine.
pub const STUN_ATTRIBUTES_MAX: usize = 32;

/// Unknown attributes that a response names (RFC 8489 §6.3.1).
pub const STUN_UNKNOWN_MAX: usize = 8;

/// Sources that one browser may check from: a machine with VPN, cable and radio has six, each by host
/// address, through a translator and through a TURN server.
pub const ICE_SOURCES_MAX: usize = 16;

/// A source that checked nothing for so long makes room for a new one: four of the longest intervals
/// of a browser that is sure of a pair.
pub const ICE_SOURCE_QUIET: Duration = Duration::from_secs(10);

/// A nominated source that checked nothing for so long gives way to any other that asks for it: twice the
/// interval of Chromium's checks of the pair it uses.
pub const ICE_NOMINATION_STALE: Duration = Duration::from_secs(5);

/// And after so long to any other that checks: twice the longest interval of Firefox's, which never asks again.
pub const ICE_NOMINATION_QUIET: Duration = Duration::from_secs(12);

/// Accepted checks by which a copy of one is known, of 4 octets each: those of nearly three hours of a browser that has
/// a path. Whoever has recorded more could send the first of them again, from where the browser was.
pub const ICE_CHECKS_KEPT_MAX: usize = 4_096;

/// And checks that may still be repeated, as many as are answered in that time.
pub const ICE_CHECKS_RECENT_MAX: usize = 512;

/// A check that came first so long ago is not repeated any more by any browser: it is a copy, wherever it comes
/// from. They repeat one for eight seconds at most, and none once they have a path.
pub const ICE_CHECK_REPEATED_MAX: Duration = Duration::from_secs(10);

/// Who was heard under keys so lately where it is nominated is not moved from there by checks alone: a
/// hundred packets of sound.
pub const NOMINATION_HEARD: Duration = Duration::from_secs(2);

/// Characters of a user name fragment (RFC 8839 §5.4).
pub const ICE_FRAGMENT_BYTES_MAX: usize = 256;

/// Until a source is asked again whether it hears us for the first time, each time after twice as long: a way
/// around the earth and back.
pub const ICE_ASK_AFTER: Duration = Duration::from_millis(250);

/// Requests of ours to one source: with 0.1 KiB each, half a KiB go to whoever does not answer.
pub const ICE_ASKS_MAX: u8 = 5;

/// A source that answered none and still checks is asked anew so long after the last: four of the intervals of
/// a browser that is sure of a pair.
pub const ICE_ASK_AGAIN: Duration = Duration::from_secs(10);

/// Without a check from the nominated source for so long nothing more is sent to it (RFC 7675 §5.1).
pub const ICE_CONSENT_MAX: Duration = Duration::from_secs(30);

/// A browser that has not nominated a source by then has found no way (RFC 8445 Appendix B.1 leaves it to
/// us): as long as consent lasts. The first restart meanwhile has as long again.
pub const ICE_NOMINATION_WAIT_MAX: Duration = Duration::from_secs(30);

/// Fingerprints of certificates that a description may name: one a hash function that is in use, and
/// as many again while a browser changes its certificate.
pub const FINGERPRINTS_MAX: usize = 4;

/// Octets of a DTLS datagram that is sent: what passes through a tunnel over IPv6.
pub const DTLS_DATAGRAM_BYTES_MAX: usize = 1_150;

/// Octets of a DTLS datagram that is read: what a datagram holds without fragments.
pub const DTLS_RECEIVED_BYTES_MAX: usize = 1_500;

/// Octets of a client's hello that is put together: six of the longest shares of a key that browsers send.
pub const DTLS_HELLO_BYTES_MAX: usize = 8_192;

/// Times that a handshake is begun again, because octets that anybody may have sent have broken it.
pub const DTLS_RESTARTS_MAX: u8 = 8;

/// Hellos of different clients that a handshake goes on by at once: whoever can send from the peer's address says one,
/// and the peer another.
pub const DTLS_ATTEMPTS_MAX: usize = 2;

/// A hello more takes the place of the second only if that is older: as long as a peer far away needs for the
/// end of its handshake.
pub const DTLS_ATTEMPT_SPARED: Duration = Duration::from_secs(2);

/// After a certificate that the description does not name the hello of another is waited for so long: clients say
/// it again within a second or two.
pub const DTLS_FOREIGN_WAIT: Duration = Duration::from_secs(3);

/// Octets of a peer's certificate that is read: those of browsers, of one elliptic key, have 300.
pub const PEER_CERTIFICATE_BYTES_MAX: usize = 2_048;

/// Until a flight of a handshake is sent again for the first time: longer than a way around the earth, shorter
/// than a listener takes for silence.
pub const DTLS_RETRY_AFTER: Duration = Duration::from_millis(250);

/// How often a flight is sent again, each time after twice as long, and at once where the peer repeats its own:
/// as often as a peer does that begins with 10 ms, so that a handshake ends by its own time and never because
/// the peer's repetitions have used up ours.
pub const DTLS_RETRIES_MAX: usize = 12;

/// A handshake takes no longer: as long as a browser may take to nominate a source.
pub const DTLS_HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// Legs of browsers of one worker at most: two for a call with video.
pub const BROWSER_LEGS_MAX: u32 = 8_192;

/// Sources of one browser whose leg is known: sound, pictures and their repeats, of a call that began anew
/// twice. A further one takes the place of the oldest, and is told by its payload types again.
pub const BUNDLE_SOURCES_MAX: usize = 8;

/// A browser of which nothing authentic came for so long is reported: four of the intervals at which it
/// checks that it may send (RFC 7675 §5.1), with what may be lost of them.
pub const TRANSPORT_SILENCE: Duration = Duration::from_secs(10);

/// Who has keys and is nominated elsewhere is heard there under them before so long: twice the longest
/// interval of a browser's reports, which it sends even when it only listens: five seconds and half as much
/// again (RFC 3550 §6.2, §6.3.1).
pub const NOMINATION_PROOF_MAX: Duration = Duration::from_secs(16);

/// Checks a second that one browser is answered for long: browsers send one each 2.5 s on a path, and
/// at most 20 a second on all of them while they look for one (RFC 8445 §14.2).
pub const CHECKS_PER_SECOND_MAX: u32 = 50;

/// Checks that one browser is answered at once beyond that rate.
pub const CHECK_BURST_MAX: u32 = 100;

/// Handshakes of one worker that have not come to keys yet: with 20 ms each a quarter of a minute of
/// new calls, and 64 KiB in memory for each of their attempts.
pub const HANDSHAKES_MAX: u32 = 256;

/// Datagrams of handshakes that wait for a step: a flight of every tenth of those that may be under way.
pub const HANDSHAKE_QUEUE_MAX: usize = 128;

/// Of these, datagrams of one browser: two flights.
pub const HANDSHAKE_DATAGRAMS_MAX: u8 = 8;

/// Of these, datagrams of one browser that has keys: it has at most a last flight to say again,
pub const HANDSHAKE_DATAGRAMS_KEYED_MAX: u8 = 2;

/// so many times a second,
pub const HANDSHAKE_KEYED_PER_SECOND_MAX: u32 = 10;

/// and all of them leave the rest of the line to those that come.
pub const HANDSHAKE_QUEUE_KEYED_MAX: usize = HANDSHAKE_QUEUE_MAX / 2;

/// Octets of handshakes that go to where nothing of one browser was answered: a flight, and once more where it is
/// lost,
pub const HANDSHAKE_UNREACHED_BYTES_MAX: usize = 2 * DTLS_DATAGRAM_BYTES_MAX;

/// and this many times what came of it (as RFC 9000 §8.1 has it for another protocol).
pub const HANDSHAKE_UNREACHED_FACTOR: usize = 3;

/// Steps of handshakes in one turn: with 0.3 ms each no packet waits longer than others wait for it.
pub const HANDSHAKE_STEPS_PER_TURN_MAX: u32 = 4;

/// A browser that was told its bit rate by who it speaks with is told none of ours for so long.
pub const BIT_RATE_SAID: Duration = Duration::from_secs(30);

/// Octets of pictures that are kept for a browser that may miss some: a quarter of a second at 1 Mbit/s, and so
/// what the way to most guests and back takes.
pub const REPEATS_BYTES_AT_FIRST: usize = 40 * 1_024;

/// Octets that are kept once a browser asks for what had to give way: a quarter of a second at 4 Mbit/s.
pub const REPEATS_BYTES_MAX: usize = 128 * 1_024;

/// Chunks of 8 KiB that a worker keeps for the next burst of pictures: half a MiB.
pub const REPEATS_SPARE_CHUNKS_MAX: usize = 64;

/// Packets of pictures that are kept: a power of two, so that numbers that follow each other have places that do.
pub const REPEATS_KEPT_MAX: usize = 256;

/// Pictures are sent again this long: a browser has given them up by then.
pub const REPEAT_AGE_MAX: Duration = Duration::from_secs(1);

/// Packets a second that one browser is sent again for long: a fifth of a stream of 2 Mbit/s.
pub const REPEATS_PER_SECOND_MAX: u32 = 40;

/// Packets that it is sent again at once beyond that rate: a keyframe of 100 KiB.
pub const REPEATS_BURST_MAX: u32 = 85;

/// Pairs of one worker at most: the ports of one address. More addresses mean more workers.
pub const PAIRS_MAX: u32 = 32_768;

/// Packets under keys whose lines are asked for together: enough that one wait serves many, few enough
/// that a first-level cache holds them.
pub const LOOK_AHEAD_PACKETS: usize = 16;

const _: () = {
    assert!(
        LEG_BURST_PACKETS_MAX <= LEG_PACKETS_PER_SECOND_MAX,
        "a burst is within a second"
    );
    assert!(
        VIDEO_BURST_PACKETS_MAX <= VIDEO_PACKETS_PER_SECOND_MAX,
        "a burst is within a second"
    );
    assert!(LATCH_PACKETS_MIN >= 2, "one packet proves nothing");
    assert!(
        PORT_REST_MIN.as_millis() <= PORT_REST.as_millis(),
        "the least rest is the shorter"
    );
    assert!(
        PORT_REST_MIN.as_millis() >= LATCH_GRACE.as_millis(),
        "a port does not return before the late packets of its call have died down"
    );
    assert!(
        KEY_GRACE.as_millis() >= LATCH_GRACE.as_millis(),
        "as long as the old source of a peer that moved is heard, so is its old key"
    );
    assert!(
        PORT_DRAIN.as_millis() <= PORT_REST_MIN.as_millis(),
        "a port that drains is not kept longer than one that rests"
    );
    assert!(
        REPEATS_KEPT_MAX.is_power_of_two(),
        "numbers go round with their places"
    );
    assert!(PAIRS_MAX <= u32::MAX / 2, "two sockets a pair");
};
