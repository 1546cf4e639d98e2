//! Phones that register with the gateway, and a gateway that registers with a trunk.

use std::fs;
use std::time::Duration;

use crate::baresip::{CALLEE, CALLER};
use crate::gateway::{Gateway, link, trunk, write_config};
use crate::sipp::{callee, caller};
use crate::tone;
use crate::world::{World, until};

const PASSWORD: &str = "correct-horse-1";
const PATIENCE: Duration = Duration::from_secs(20);

/// Everybody on 127.0.0.1 has to prove who it is.
fn registrar(world: &World) -> Gateway {
    let config = write_config(world, "", "");
    let text = fs::read_to_string(&config).expect("the configuration");
    let source = "links = \"none\"\nregisters = true";
    fs::write(&config, text.replace("links = \"all\"", source)).expect("the configuration");
    let gateway = Gateway::start_with(world, config);
    // This baresip knows MD5 alone.
    gateway.run(&["settings", "set", "registrar.digest", "md5"]);
    let file = world.write("password", PASSWORD);
    let file = file.display().to_string();
    for name in ["610", "611"] {
        gateway.run(&["extensions", "add", name, "--password-file", &file]);
    }
    gateway
}

fn account(name: &str) -> String {
    format!(
        "<sip:{name}@127.0.0.1:5060>;auth_user={name};auth_pass={PASSWORD};regint=60;\
         answermode=auto;audio_codecs=PCMA/8000/1\n"
    )
}

#[test]
fn one_registered_phone_calls_the_other_and_each_hears_the_other() {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let gateway = registrar(&world);
    let mut callee = CALLEE.start_as(&account("611"), &world, 11, None);
    until("the callee's registration", PATIENCE, || {
        callee.said().contains("200 OK")
    });
    let mut caller = CALLER.start_as(&account("610"), &world, 8, Some("sip:611@127.0.0.1:5060"));
    caller.wait(PATIENCE);
    callee.wait(PATIENCE);
    for (here, there) in [(&CALLER, &CALLEE), (&CALLEE, &CALLER)] {
        let heard = here.heard(&world);
        let other = tone::loudest_share(&heard, there.tone_hz);
        let own = tone::loudest_share(&heard, here.tone_hz);
        assert!(
            other > 0.8 && own < 0.1,
            "{}: {other:.2} {own:.2}",
            here.name
        );
    }
    let calls = gateway.closed_calls(1);
    assert_eq!(calls.len(), 1, "a challenge is no call: {calls:?}");
    assert_eq!(calls[0]["attempts"][0]["caller_alias"], "610", "{calls:?}");
}

#[test]
fn a_trunk_that_wants_our_register_gets_it_with_its_password() {
    let Some(world) = World::open(&["ip", "sipp"]) else {
        return;
    };
    world.write("carrier.password", PASSWORD);
    let mut carrier = callee(&world, "127.0.0.21:5080", "registrar", &[]);
    let tables = trunk("carrier", "127.0.0.21:5080", 10)
        .trim_end()
        .to_owned()
        + "\nregister = true\nusername = \"4930\"\npassword_file = \"carrier.password\"\n\n"
        + &link("desk", "1000");
    let gateway = Gateway::start(&world, &tables);
    carrier.succeed(PATIENCE);
    until("the registration in the log", PATIENCE, || {
        gateway.process.said().contains("trunk_registered")
    });
    let mut answering = callee(&world, "127.0.0.21:5080", "callee_answers", &[]);
    caller(&world, "caller_answered", &[]);
    answering.succeed(PATIENCE);
}
