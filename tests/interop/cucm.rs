//! CUCM as `cisco-trunk.md` describes it, played by a scripted peer: hold with music and resume
//! (E-01), delayed offers (C-01), every `m=` line (C-09). The verdict on media is by frequency.

use crate::gateway::{Gateway, SIP, link, trunk};
use crate::party::{Machine, Party, audio, converse, header};
use crate::tone::Law;
use crate::world::World;

const CUCM: &str = "127.0.0.21:5080";
const MUSIC: &str = "127.0.0.31";
const CALLER_HZ: f64 = 600.0;
const CALLEE_HZ: f64 = 1100.0;
const MUSIC_HZ: f64 = 1700.0;
const ROUNDS: u32 = 20;
/// Half seconds until each hears the other.
const CONVERSATIONS_MAX: u32 = 6;

/// A call from a desk phone over the trunk to CUCM, with what speaks at either end.
struct Scene {
    caller: Party,
    cucm: Party,
    desk: Machine,
    phone: Machine,
    music: Machine,
    version: u32,
    gateway: Gateway,
    /// Ends last: the folder of the gateway.
    _world: World,
}

impl Scene {
    fn open() -> Option<Self> {
        let world = World::open(&["ip"])?;
        let tables = trunk("cucm", CUCM, 10) + &link("desk", "1000");
        let gateway = Gateway::start(&world, &tables);
        Some(Self {
            caller: Party::new("127.0.0.1:5400", SIP),
            cucm: Party::new(CUCM, SIP),
            desk: Machine::new("127.0.0.1", CALLER_HZ, Law::A, 1),
            phone: Machine::new("127.0.0.21", CALLEE_HZ, Law::A, 2),
            music: Machine::new(MUSIC, MUSIC_HZ, Law::A, 3),
            version: 1,
            gateway,
            _world: world,
        })
    }

    /// The call is up, and each hears the other.
    fn answered(&mut self) {
        let offer = both_laws(&self.desk.session(1, "sendrecv"));
        self.caller.call("desk", "", &offer);
        let invite = self.cucm.expect_request("INVITE");
        self.cucm
            .respond(&invite, "200 OK", "", &self.phone.session(1, "sendrecv"));
        let _ack = self.cucm.expect_request("ACK");
        let ok = self.caller.expect(200);
        self.caller.acknowledge("");
        self.both_hear(&ok, &invite, 0);
    }

    fn both_hear(&mut self, to_caller: &str, to_cucm: &str, round: u32) {
        let (from_desk, from_phone) = (audio(to_caller), audio(to_cucm));
        let mut heard = String::new();
        // On a machine that is busy elsewhere a packet of before may come late, or a half second be
        // short of packets: then they go on talking.
        for _ in 0..CONVERSATIONS_MAX {
            converse(&mut [(&mut self.desk, from_desk), (&mut self.phone, from_phone)]);
            let (here, there) = (self.desk.hears(CALLEE_HZ), self.phone.hears(CALLER_HZ));
            let music = self.desk.hears(MUSIC_HZ);
            let packets = (self.desk.packets_heard(), self.phone.packets_heard());
            let enough = packets.0 >= 20 && packets.1 >= 20;
            if enough && here > 0.8 && there > 0.8 && music < 0.1 {
                return;
            }
            heard = format!("{here:.2} {there:.2}, music {music:.2}, packets {packets:?}");
        }
        panic!("round {round}: {heard}");
    }

    /// CUCM offers; the caller is asked and agrees.
    fn stop(&mut self, offer: &str) {
        self.cucm.ask("INVITE", offer);
        let asked = self.caller.expect_request("INVITE");
        assert!(asked.contains("a=inactive"), "{asked}");
        self.caller.respond(
            &asked,
            "200 OK",
            "",
            &self.desk.session(self.version, "inactive"),
        );
        let _ack = self.caller.expect_request("ACK");
        let ok = self.cucm.expect(200);
        assert!(ok.contains("a=inactive"), "{ok}");
        self.cucm.acknowledge("");
    }

    /// CUCM wants our offer and answers in the ACK; gives that offer and what the caller was told.
    fn connect(&mut self, answer: &str, agreed: &str) -> (String, String) {
        self.cucm.ask("INVITE", "");
        let offer = self.cucm.expect(200);
        assert!(offer.contains("a=sendrecv"), "a full offer (E-02): {offer}");
        for codec in ["PCMA/8000", "PCMU/8000"] {
            assert!(offer.contains(codec), "all that both can do: {offer}");
        }
        self.cucm.acknowledge(answer);
        let told = self.caller.expect_request("INVITE");
        self.caller.respond(
            &told,
            "200 OK",
            "",
            &self.desk.session(self.version, agreed),
        );
        let _ack = self.caller.expect_request("ACK");
        (offer, told)
    }

    fn finish(mut self) {
        self.caller.ask("BYE", "");
        let bye = self.cucm.expect_request("BYE");
        self.cucm.respond(&bye, "200 OK", "", "");
        let _ok = self.caller.expect(200);
        let calls = self.gateway.closed_calls(1);
        assert_eq!(calls[0]["cause"], "normal", "{calls:?}");
    }
}

/// The same line with PCMU beside PCMA.
fn both_laws(session: &str) -> String {
    session.replace("RTP/AVP 8\r\n", "RTP/AVP 8 0\r\na=rtpmap:0 PCMU/8000\r\n")
}

/// E-01, E-02, E-05, E-06, M.3: stop, music from another machine in another codec, stop, resume.
#[test]
fn hold_with_music_and_resume_twenty_times_and_audio_after_each() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    scene.answered();
    for round in 1..=ROUNDS {
        scene.version += 1;
        let law = if round % 2 == 0 { Law::A } else { Law::Mu };
        let offer = scene.phone.session(scene.version, "inactive");
        scene.stop(&offer);
        scene.music = Machine::new(MUSIC, MUSIC_HZ, law, 100 + round);
        scene.desk.speaks(law);
        let answer = scene.music.session(scene.version, "sendonly");
        let (offer, told) = scene.connect(&answer, "recvonly");
        assert!(told.contains("a=sendonly"), "{told}");
        let (from_music, from_desk) = (audio(&offer), audio(&told));
        converse(&mut [(&mut scene.music, from_music), (&mut scene.desk, from_desk)]);
        let music = scene.desk.hears(MUSIC_HZ);
        assert!(music > 0.8, "round {round}: music is {music:.2}");
        assert_eq!(scene.music.packets_heard(), 0, "round {round}: one way");
        let offer = scene.music.session(scene.version, "inactive");
        scene.stop(&offer);
        // The phone comes back with a port and a stream of its own.
        scene.phone = Machine::new("127.0.0.21", CALLEE_HZ, Law::A, 200 + round);
        scene.desk.speaks(Law::A);
        let answer = scene.phone.session(scene.version, "sendrecv");
        let (offer, told) = scene.connect(&answer, "sendrecv");
        scene.both_hear(&told, &offer, round);
    }
    scene.finish();
}

/// E-01, the other way: an offerless one to learn what we can do, at once followed by an early offer.
#[test]
fn hold_that_learns_our_abilities_first_is_not_refused() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    scene.answered();
    for round in 1..=3 {
        scene.version += 2;
        let version = scene.version;
        scene.cucm.ask("INVITE", "");
        let _offer = scene.cucm.expect(200);
        scene
            .cucm
            .acknowledge(&scene.phone.session(version, "inactive"));
        let offer = scene.music.session(version + 1, "sendonly");
        scene.cucm.ask("INVITE", &offer);
        for agreed in ["inactive", "recvonly"] {
            let told = scene.caller.expect_request("INVITE");
            scene
                .caller
                .respond(&told, "200 OK", "", &scene.desk.session(version, agreed));
            let _ack = scene.caller.expect_request("ACK");
        }
        let ok = scene.cucm.expect(200);
        scene.cucm.acknowledge("");
        let target = audio(&ok);
        converse(&mut [(&mut scene.music, target), (&mut scene.desk, target)]);
        assert!(scene.desk.hears(MUSIC_HZ) > 0.8, "round {round}");
        let stop = scene.music.session(version + 2, "inactive");
        scene.stop(&stop);
        let answer = scene.phone.session(version + 2, "sendrecv");
        let (offer, told) = scene.connect(&answer, "sendrecv");
        scene.both_hear(&told, &offer, round);
    }
    scene.finish();
}

/// C-01, C-02, C-05, M.1: CUCM calls us without an offer. Towards the callee goes an early one.
#[test]
fn call_without_an_offer_is_heard_both_ways_from_its_ack_on() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    scene.caller.call("desk", "Supported: 100rel\r\n", "");
    let invite = scene.cucm.expect_request("INVITE");
    assert!(invite.contains("m=audio "), "an early offer: {invite}");
    scene.cucm.respond(&invite, "180 Ringing", "", "");
    let ringing = scene.caller.expect(180);
    assert!(
        !ringing.contains("RSeq") && !ringing.contains("m=audio"),
        "{ringing}"
    );
    scene
        .cucm
        .respond(&invite, "200 OK", "", &scene.phone.session(1, "sendrecv"));
    let _ack = scene.cucm.expect_request("ACK");
    let ok = scene.caller.expect(200);
    for codec in [
        "opus/48000/2",
        "G722/8000",
        "PCMU/8000",
        "telephone-event/8000",
    ] {
        assert!(ok.contains(codec), "{ok}");
    }
    scene.caller.acknowledge(&scene.desk.session(1, "sendrecv"));
    scene.both_hear(&ok, &invite, 0);
    scene.finish();
}

/// C-09, C-10, M.7: audio, video, BFCP, second video, FECC, iX: each line has its answer.
#[test]
fn each_of_six_lines_is_answered_in_order() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    let lines = "m=video 5002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=content:main\r\n\
                 m=application 5004 UDP/BFCP *\r\na=floorctrl:c-only\r\n\
                 m=video 5006 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=content:slides\r\n\
                 m=application 5008 RTP/AVP 107\r\na=rtpmap:107 H224/4800\r\n\
                 m=application 5010 UDP/UDT/IX *\r\na=ixmap:0 ping\r\n";
    let offer = scene.desk.session(1, "sendrecv") + "b=TIAS:64000\r\nb=X-unknown:1\r\n" + lines;
    scene.caller.call("desk", "", &offer);
    let invite = scene.cucm.expect_request("INVITE");
    scene
        .cucm
        .respond(&invite, "200 OK", "", &scene.phone.session(1, "sendrecv"));
    let _ack = scene.cucm.expect_request("ACK");
    let ok = scene.caller.expect(200);
    scene.caller.acknowledge("");
    let answered: Vec<&str> = ok.lines().filter(|line| line.starts_with("m=")).collect();
    let shapes: Vec<(&str, bool, &str)> = answered
        .iter()
        .map(|line| {
            let mut words = line.split(' ');
            let kind = words.next().expect("a kind");
            let port = words.next().expect("a port");
            (kind, port != "0", words.next().expect("a protocol"))
        })
        .collect();
    assert_eq!(
        shapes,
        [
            ("m=audio", true, "RTP/AVP"),
            ("m=video", false, "RTP/AVP"),
            ("m=application", false, "UDP/BFCP"),
            ("m=video", false, "RTP/AVP"),
            ("m=application", false, "RTP/AVP"),
            ("m=application", false, "UDP/UDT/IX"),
        ]
    );
    scene.both_hear(&ok, &invite, 0);
    scene.finish();
}

/// C-13, J-01, J-03, M.14: the description of a multipart body is found; no Route in the first INVITE;
/// two hops of Record-Route are the route of each request within the dialog.
#[test]
fn multipart_offer_is_read_and_two_hops_are_the_route() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    let session = scene.desk.session(1, "sendrecv");
    let body = format!(
        "--uniqueBoundary\r\nContent-Type: application/sdp;charset=UTF-8\r\n\r\n{session}\r\n\
         --uniqueBoundary\r\nContent-Type: application/x-cisco-remotecc-request+xml\r\n\r\n<x/>\r\n\
         --uniqueBoundary--\r\n"
    );
    scene.caller.call("desk", "", &body);
    let invite = scene.cucm.expect_request("INVITE");
    assert_eq!(header(&invite, "Route"), None, "no preloaded Route");
    let hops = format!("Record-Route: <sip:{CUCM};lr;hop=1>, <sip:{CUCM};lr;hop=2>\r\n");
    scene.cucm.respond(
        &invite,
        "200 OK",
        &hops,
        &scene.phone.session(1, "sendrecv"),
    );
    let back = format!("<sip:{CUCM};lr;hop=2>, <sip:{CUCM};lr;hop=1>");
    let ack = scene.cucm.expect_request("ACK");
    assert_eq!(route(&ack), back, "{ack}");
    let ok = scene.caller.expect(200);
    scene.caller.acknowledge("");
    scene.both_hear(&ok, &invite, 0);
    scene.caller.ask("BYE", "");
    let bye = scene.cucm.expect_request("BYE");
    assert_eq!(route(&bye), back, "{bye}");
    scene.cucm.respond(&bye, "200 OK", "", "");
    let _ok = scene.caller.expect(200);
}

/// All Route values in order, whether on one line or several.
fn route(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("Route: "));
    lines.collect::<Vec<_>>().join(", ")
}
