//! baresip twice: caller → link → trunk → callee. The verdict is on audio.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::gateway::{Backend, Gateway, link, on_each_backend, trunk};
use crate::tone;
use crate::world::{Process, World, is_listening, until};

/// One phone: where it is and what it says.
pub(crate) struct Phone {
    pub(crate) name: &'static str,
    address: &'static str,
    port: u16,
    user: &'static str,
    pub(crate) tone_hz: f64,
}

pub(crate) const CALLER: Phone = Phone {
    name: "caller",
    address: "127.0.0.1",
    port: 5520,
    user: "alice",
    tone_hz: 600.0,
};
pub(crate) const CALLEE: Phone = Phone {
    name: "callee",
    address: "127.0.0.1",
    port: 5540,
    user: "desk",
    tone_hz: 1100.0,
};

/// Where the gateway has the address that guests' browsers see: a phone's packets leave by the nearest one.
pub(crate) const DESK: Phone = Phone {
    name: "desk",
    address: "10.70.0.1",
    port: 5540,
    user: "desk",
    tone_hz: 1100.0,
};

impl Phone {
    /// Writes its folder and starts it; with `dial` it calls, without it answers. It ends, and
    /// closes its recordings, after `seconds`.
    pub(crate) fn start(&self, world: &World, seconds: u32, dial: Option<&str>) -> Process {
        self.start_by("udp", world, seconds, dial)
    }

    /// Where it takes orders.
    pub(crate) fn control(&self) -> String {
        format!("{}:{}", self.address, self.port + 1000)
    }

    /// An account that speaks PCMA and has these further parameters.
    pub(crate) fn account(&self, further: &str) -> String {
        format!(
            "<sip:{}@{}:{}>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1{further}\n",
            self.user, self.address, self.port
        )
    }

    /// Where it is called.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// Where it takes media.
    pub(crate) const fn media_ports(&self) -> RangeInclusive<u16> {
        self.port + 36_000..=self.port + 36_010
    }

    fn start_by(
        &self,
        transport: &str,
        world: &World,
        seconds: u32,
        dial: Option<&str>,
    ) -> Process {
        let account = format!(
            "<sip:{}@{}:{};transport={transport}>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1\n",
            self.user, self.address, self.port
        );
        self.start_as(&account, world, seconds, dial)
    }

    /// The same with this account.
    pub(crate) fn start_as(
        &self,
        account: &str,
        world: &World,
        seconds: u32,
        dial: Option<&str>,
    ) -> Process {
        self.start_saying(&tone::wav(self.tone_hz, 20), account, world, seconds, dial)
    }

    /// The same with this sound: of the rate of the codec, because it converts none.
    pub(crate) fn start_saying(
        &self,
        sound: &[u8],
        account: &str,
        world: &World,
        seconds: u32,
        dial: Option<&str>,
    ) -> Process {
        self.start_with(sound, account, "", world, seconds, dial)
    }

    /// The same with these further lines of its configuration.
    pub(crate) fn start_with(
        &self,
        sound: &[u8],
        account: &str,
        further: &str,
        world: &World,
        seconds: u32,
        dial: Option<&str>,
    ) -> Process {
        let file = |name: &str| world.file(&format!("{}/{name}", self.name));
        fs::create_dir_all(file("rec")).expect("a folder");
        fs::write(file("tone.wav"), sound).expect("a file");
        let config = CONFIG
            .replace("ADDRESS", self.address)
            .replace("CONTROL", &self.control())
            .replace("SIP_PORT", &self.port.to_string())
            .replace("TONE", &file("tone.wav").display().to_string())
            .replace("RECORDINGS", &file("rec").display().to_string())
            .replace("RTP_FIRST", &self.media_ports().start().to_string())
            .replace("RTP_LAST", &self.media_ports().end().to_string());
        world.write(&format!("{}/config", self.name), &(config + further));
        world.write(&format!("{}/accounts", self.name), account);
        world.write(&format!("{}/contacts", self.name), "");
        let mut command = Command::new("baresip");
        command.args([
            "-4",
            "-s",
            "-n",
            self.address,
            "-t",
            &seconds.to_string(),
            "-f",
        ]);
        command.arg(world.file(self.name));
        if let Some(uri) = dial {
            command.args(["-e", &format!("/dial {uri}")]);
        }
        let process = world.start(self.name, &mut command);
        let listen = format!("{}:{}", self.address, self.port);
        until("baresip's port", Duration::from_secs(10), || {
            is_listening(&listen)
        });
        process
    }

    /// The samples it received.
    pub(crate) fn heard(&self, world: &World) -> Vec<i16> {
        heard_in(&world.file(&format!("{}/rec", self.name)))
    }
}

/// The samples that a phone received and recorded in this folder.
fn heard_in(folder: &Path) -> Vec<i16> {
    let recordings: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
        .collect();
    assert_eq!(recordings.len(), 1, "recorded in {folder:?}");
    tone::read_wav(&fs::read(&recordings[0]).expect("a recording"))
}

#[test]
fn each_side_hears_the_other_and_the_callee_sees_the_links_name_and_alias() {
    on_each_backend(hears_and_sees);
}

fn hears_and_sees(backend: Backend) {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let link = "[[link]]\nrequest_path = \"support\"\ndestination = \"desk\"\n\
                caller_name = \"Café Müller\"\ncaller_alias = \"website.7\"\n";
    let tables = trunk("desks", &format!("{}:{}", CALLEE.address, CALLEE.port), 10) + link;
    let gateway = Gateway::start_on(&world, backend, &tables);
    let mut callee = CALLEE.start(&world, 9, None);
    let mut caller = CALLER.start(&world, 6, Some("sip:support@127.0.0.1:5060"));
    caller.wait(Duration::from_secs(20));
    callee.wait(Duration::from_secs(20));

    each_hears_the_other(&world);
    let trace = callee.said();
    let invite = trace
        .split("INVITE sip:desk@")
        .nth(1)
        .unwrap_or_else(|| panic!("{trace}"));
    let from = invite
        .lines()
        .find(|line| line.starts_with("From:"))
        .expect("a From");
    assert!(from.contains("\"Café Müller\""), "{from}");
    assert!(from.contains("<sip:website.7@"), "{from}");
    let calls = gateway.closed_calls(1);
    assert_eq!(
        calls[0]["attempts"][0]["caller_alias"], "website.7",
        "{calls:?}"
    );
}

/// The shortest call is of two seconds.
const CLEAR_TENTHS_MIN: usize = 15;

pub(crate) fn each_hears_the_other(world: &World) {
    for (here, there) in [(&CALLER, &CALLEE), (&CALLEE, &CALLER)] {
        let heard = here.heard(world);
        let (other, own) = (
            tone::loudest_share(&heard, there.tone_hz),
            tone::loudest_share(&heard, here.tone_hz),
        );
        assert!(
            other > 0.8,
            "{} hears {other:.2} of {}",
            here.name,
            there.name
        );
        assert!(own < 0.1, "{} hears {own:.2} of itself", here.name);
        // All of the call and not only its beginning: before and after sockets are connected, reports, …
        let (clear, of) = tone::clear_tenths(&heard, there.tone_hz);
        assert!(
            clear >= CLEAR_TENTHS_MIN && clear * 3 >= of * 2,
            "{} hears {} clearly in {clear} of {of} tenths of a second",
            here.name,
            there.name
        );
    }
}

/// The line as it stands in README.md, with `conf/baresip`; only the sound card is a file, because a machine
/// of tests has none.
#[test]
fn the_first_call_of_the_readme_hears_itself() {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(tree.join(name)).expect("a file of the tree");
    let readme = read("README.md");
    let line = readme
        .lines()
        .find_map(|line| line.strip_prefix("baresip "));
    let line = line.expect("a line that starts baresip");
    let _gateway = Gateway::start_with(&world, tree.join("conf/demo.toml"));
    fs::create_dir_all(world.file("rec")).expect("a folder");
    fs::write(world.file("tone.wav"), tone::wav(CALLER.tone_hz, 20)).expect("a file");
    let config = read("conf/baresip/config");
    assert!(config.contains("module alsa.so\n"), "{config}");
    let config = config
        .replace("alsa.so", "aufile.so\nmodule sndfile.so\nsnd_path rec")
        .replace("alsa,default", "aufile,tone.wav");
    world.write("conf/baresip/config", &config);
    world.write("conf/baresip/accounts", &read("conf/baresip/accounts"));
    let mut phone = Command::new("sh");
    phone.args(["-c", &format!("exec baresip -t 4 {line}")]);
    let mut phone = world.start("phone", &mut phone);
    phone.wait(Duration::from_secs(20));
    let heard = heard_in(&world.file("rec"));
    let share = tone::loudest_share(&heard, CALLER.tone_hz);
    assert!(share > 0.8, "{share:.2}\n{}", phone.said());
}

/// both sides by TCP, from ports of the kernel's choice.
#[test]
fn by_tcp_each_side_hears_the_other() {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let callee = format!("{}:{}", CALLEE.address, CALLEE.port);
    let tables = trunk("desks", &callee, 10).replace("targets", "transport = \"tcp\"\ntargets")
        + &link("support", "desk");
    let gateway = Gateway::start(&world, &tables);
    let mut callee = CALLEE.start_by("tcp", &world, 9, None);
    let dial = "sip:support@127.0.0.1:5060;transport=tcp";
    let mut caller = CALLER.start_by("tcp", &world, 6, Some(dial));
    caller.wait(Duration::from_secs(20));
    callee.wait(Duration::from_secs(20));
    each_hears_the_other(&world);
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["status"], 200, "{calls:?}");
    let trace = callee.said();
    assert!(
        trace.contains("Via: SIP/2.0/TCP 127.0.0.1:5060;"),
        "{trace}"
    );
}

const CONFIG: &str = "\
sip_listen ADDRESS:SIP_PORT
audio_source aufile,TONE
audio_player aufile
audio_alert aufile
rtp_ports RTP_FIRST-RTP_LAST
rtp_timeout 0
snd_path RECORDINGS
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module g722.so
module opus.so
module srtp.so
module aufile.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
ctrl_tcp_listen CONTROL
module_app ctrl_tcp.so
";
