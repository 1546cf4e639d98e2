//! Who the caller is, as it leaves on the wire: each restriction by each mechanism, with a name that only
//! survives careful writing (M.9).

use crate::gateway::{Gateway, SIP};
use crate::party::{Machine, Party, header};
use crate::tone::Law;
use crate::world::World;

/// Chinese, Arabic, quotes and a backslash.
const NAME: &str = r#"名前 مرحبا "q" \ b"#;
/// The same as a quoted string of RFC 3261 §25.1.
const QUOTED: &str = r#""名前 مرحبا \"q\" \\ b""#;
const OPEN: &str = "<sip:web@127.0.0.1>";
const ANONYMOUS: &str = "<sip:anonymous@anonymous.invalid>";
const PROFILES: [(&str, &str); 3] = [
    ("rpid", "127.0.0.21:5080"),
    ("pai", "127.0.0.22:5080"),
    ("both", "127.0.0.23:5080"),
];

/// What a caller may want hidden: the word of Remote-Party-ID, whether it is the name, whether the number.
const RESTRICTIONS: [(&str, bool, bool); 4] = [
    ("off", false, false),
    ("name", true, false),
    ("uri", false, true),
    ("full", true, true),
];

fn tables() -> String {
    let of = |(identity, target): (&str, &str)| {
        format!(
            "[[trunk]]\nlabel = \"{identity}\"\ntargets = [\"{target}\"]\nidentity = \"{identity}\"\n\
             trusted = true\noptions_interval_up_s = 0\n\n\
             [[link]]\nrequest_path = \"{identity}\"\ndestination = \"1000\"\ntrunk = \"{identity}\"\n\
             caller_name = '{NAME}'\ncaller_alias = \"web\"\n\n"
        )
    };
    PROFILES.map(of).concat()
}

/// The INVITE that comes at `target` for a caller who asks for this.
fn invite(path: &str, target: &str, restriction: &str) -> String {
    let mut caller = Party::new("127.0.0.1:0", SIP);
    let mut called = Party::new(target, SIP);
    let machine = Machine::new("127.0.0.1", 600.0, Law::A, 1);
    let asked =
        format!("Remote-Party-ID: <sip:x@127.0.0.1>;party=calling;privacy={restriction}\r\n");
    caller.call(path, &asked, &machine.session(1, "sendrecv"));
    let invite = called.expect_request("INVITE");
    called.respond(&invite, "603 Decline", "", "");
    let _ack = called.expect_request("ACK");
    let _declined = caller.expect(603);
    caller.acknowledge("");
    invite
}

#[test]
fn each_restriction_leaves_by_each_mechanism_and_the_name_in_one_piece() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let _gateway = Gateway::start(&world, &tables());
    for (profile, target) in PROFILES {
        for (restriction, hides_name, hides_number) in RESTRICTIONS {
            let invite = invite(profile, target, restriction);
            let case = format!("{profile}, {restriction}: {invite}");
            let name = if hides_name { "\"Anonymous\"" } else { QUOTED };
            let uri = if hides_number { ANONYMOUS } else { OPEN };
            let from = header(&invite, "From").expect("a From");
            assert!(from.starts_with(&format!("{name} {uri};tag=")), "{case}");
            let told = if hides_name {
                OPEN.to_owned()
            } else {
                format!("{QUOTED} {OPEN}")
            };
            let rpid =
                format!("{told};party=calling;id-type=subscriber;privacy={restriction};screen=yes");
            let (with_rpid, with_pai) = (profile != "pai", profile != "rpid");
            assert_eq!(
                header(&invite, "Remote-Party-ID"),
                with_rpid.then_some(rpid),
                "{case}"
            );
            assert_eq!(
                header(&invite, "P-Asserted-Identity"),
                with_pai.then_some(told),
                "{case}"
            );
            let privacy = hides_number.then(|| "id".to_owned());
            assert_eq!(header(&invite, "Privacy"), privacy, "{case}");
        }
    }
}
