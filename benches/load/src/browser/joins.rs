//! Rows `browser.click_to_ringing` and `browser.joins`: from a guest's click until it talks.
//!
//! Clicks are made one after the other, each at a gateway that has nothing else to do; joins sixteen at a
//! time, on one core for the whole gateway, and what they cost includes that they end.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;

use super::{Joining, Maker, Pages};
use crate::carrier::NodePlace;
use crate::machine::{self, Pinned, monotonic_ns, process_cpu_ns, sleep_until_ns};
use crate::proc_stat;
use crate::relay::{MEDIA_THREAD, Row, Stage, row, row_at_least};
use crate::report::{figure, progress};
use crate::rtp_packet::{PACKET_BYTES, Sound, write_packet};
use crate::rtp_port::Reader;
use crate::sip_load::{Happened, SipLoad};
use crate::verdict::{lowest_third, per};

/// From before the WebSocket is opened until the page is told that it rings, the slowest of a hundred.
const RINGING: Row = ("browser.click_to_ringing_ms", 150.0);
/// From the callee's answer to the first packet of its voice in the browser.
const AUDIO: Row = ("browser.answer_to_audio_ms", 300.0);
/// Guests a second that one core lets in, and out again.
const JOINS: Row = ("browser.joins", 500.0);
/// All of them.
pub(super) const ROWS: [Row; 3] = [RINGING, AUDIO, JOINS];

/// Measures, and prints the rows.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let place = stage.place("joins", 0, MEDIA_THREAD, |_| ())?;
    let mut door = Door::new(&place)?;
    let clicks = if stage.is_quick() { 5 } else { CLICKS };
    let (mut ringing, mut audio) = (histogram()?, histogram()?);
    for number in 0..WARM_UP + clicks {
        let click = door.click().with_context(|| format!("click {number}"))?;
        if number >= WARM_UP {
            ringing.saturating_record(click.ringing_ns);
            audio.saturating_record(click.audio_ns);
        }
    }
    for (name, times) in [("ringing", &ringing), ("audio", &audio)] {
        figure(&format!("browser.{name}_p50_ms"), ms(times, 0.5));
    }
    row(RINGING, Ok(ms(&ringing, 1.0)));
    row(AUDIO, Ok(ms(&audio, 1.0)));
    row_at_least(JOINS, joins(stage, &place, &mut door));
    Ok(())
}

/// Rounds of joins with the whole gateway on the measured core.
fn joins(stage: &Stage<'_>, place: &NodePlace, door: &mut Door) -> Result<f64> {
    let _pinned = Pinned::here(stage.cores.generator)?;
    for thread in proc_stat::threads(place.process) {
        machine::pin(thread.thread, stage.cores.measured)?;
        machine::make_ordinary(thread.thread);
    }
    let (mut cpu_ns, mut took_ns) = (Vec::new(), Vec::new());
    for number in 0..stage.effort(ROUNDS).rounds {
        let one = door.round(place.process)?;
        progress(&format!(
            "browser: {JOINS_A_ROUND} joins, {:.3} ms CPU each, {:.0} a second, generator {:.0} %",
            one.cpu_ns / 1e6,
            1e9 / one.took_ns,
            100.0 * one.own_load,
        ));
        // Caches fill and pools grow in the first.
        if number > 0 || stage.is_quick() {
            cpu_ns.push(one.cpu_ns);
            took_ns.push(one.took_ns);
        }
    }
    let cpu_ns = lowest_third(&cpu_ns).context("no round")?;
    let took_ns = lowest_third(&took_ns).context("no round")?;
    figure("browser.join_cpu_ms", cpu_ns / 1e6);
    figure("browser.joins_by_the_clock", 1e9 / took_ns);
    Ok(1e9 / cpu_ns)
}

/// A link's page, its callee, and guests that come and go.
struct Door {
    pages: Pages,
    maker: Maker,
    calls: SipLoad,
    /// Where callees speak from, and hear.
    voice: UdpSocket,
    reader: Reader,
}

/// How long a guest waited.
struct Click {
    ringing_ns: u64,
    audio_ns: u64,
}

/// What a join cost in a round.
struct Round {
    cpu_ns: f64,
    took_ns: f64,
    own_load: f64,
}

impl Door {
    fn new(place: &NodePlace) -> Result<Self> {
        let http = place.http.context("the node's HTTP address")?;
        let voice = UdpSocket::bind(("127.0.0.1", 0))?;
        let voice_at = voice.local_addr()?;
        let mut calls = SipLoad::new(place.sip, &place.user, place.callee, vec![voice_at])?;
        calls.in_opus = true;
        Ok(Self {
            pages: Pages::of(http, &place.user)?,
            maker: Maker::new(false)?,
            calls,
            voice,
            reader: Reader::new(),
        })
    }

    /// One guest, until it hears its callee; then it leaves.
    fn click(&mut self) -> Result<Click> {
        let page = self.pages.load()?;
        let mut joining = Joining::begin(&page, &self.maker)?;
        let end = monotonic_ns() + PATIENCE_NS;
        // When the callee answered, where it sends to, and how many packets it has sent.
        let mut answered: Option<(u64, SocketAddr, Sound)> = None;
        let mut sent = 0;
        let heard_ns = loop {
            let now = monotonic_ns();
            if now > end {
                bail!("a guest heard nothing of its callee in 5 s");
            }
            joining.look(&mut self.reader)?;
            if !joining.guest().heard().is_empty() {
                break monotonic_ns();
            }
            for happened in self.calls.look() {
                if let Happened::Offered {
                    media: Some(media),
                    opus,
                    ..
                } = happened
                {
                    let sound = opus.map_or(Sound::PCMU, Sound::opus);
                    answered = Some((now, media, sound));
                }
            }
            if let Some((since, to, sound)) = answered
                && now >= since + sent * VOICE_NS
            {
                let mut packet = [0; PACKET_BYTES];
                write_packet(&mut packet, 0, sent, sent, sound);
                self.voice.send_to(&packet, to)?;
                sent += 1;
            }
            sleep_until_ns(now + LOOK_NS);
        };
        let (answered_ns, ..) = answered.context("nobody was called")?;
        let ringing_ns = joining
            .ringing_ns
            .context("a guest was told of no ringing")?;
        let click = Click {
            ringing_ns: ringing_ns - joining.clicked_ns,
            audio_ns: heard_ns - answered_ns,
        };
        self.leave(joining)?;
        Ok(click)
    }

    /// Hangs up, and waits for the end.
    fn leave(&mut self, mut joining: Joining) -> Result<()> {
        joining.line().leave()?;
        let end = monotonic_ns() + PATIENCE_NS;
        while joining.look(&mut self.reader).is_ok() {
            if monotonic_ns() > end {
                bail!("a guest that left was told of no end in 5 s");
            }
            self.calls.look();
            sleep_until_ns(monotonic_ns() + LOOK_NS);
        }
        self.calls.look();
        Ok(())
    }

    /// So many guests come and go, a few at a time.
    fn round(&mut self, process: u32) -> Result<Round> {
        let mut pages = Vec::new();
        for _ in 0..JOINS_A_ROUND {
            pages.push(self.pages.load()?);
        }
        let mut waiting = pages.iter();
        let mut under_way: VecDeque<Joining> = VecDeque::new();
        let mut leaving: VecDeque<Joining> = VecDeque::new();
        let (began_ns, began_own) = (monotonic_ns(), machine::thread_cpu_ns());
        let began_cpu = process_cpu_ns(process);
        let (mut gone, mut moved) = (0, began_ns);
        while gone < JOINS_A_ROUND {
            let now = monotonic_ns();
            while under_way.len() + leaving.len() < AT_ONCE {
                let Some(page) = waiting.next() else { break };
                under_way.push_back(Joining::begin(page, &self.maker)?);
            }
            for _ in 0..under_way.len() {
                let Some(mut joining) = under_way.pop_front() else {
                    break;
                };
                joining.look(&mut self.reader)?;
                if joining.is_joined()? {
                    joining.line().leave()?;
                    leaving.push_back(joining);
                } else {
                    under_way.push_back(joining);
                }
            }
            for _ in 0..leaving.len() {
                let Some(mut joining) = leaving.pop_front() else {
                    break;
                };
                // The last word is that it has ended.
                if joining.look(&mut self.reader).is_ok() {
                    leaving.push_back(joining);
                } else {
                    (gone, moved) = (gone + 1, now);
                }
            }
            self.calls.look();
            if now - moved > PATIENCE_NS {
                bail!(
                    "{gone} of {JOINS_A_ROUND} guests came and went, then nothing happened for 5 s"
                );
            }
            sleep_until_ns(now + LOOK_NS);
        }
        let took = monotonic_ns() - began_ns;
        let count = u64::try_from(JOINS_A_ROUND)?;
        Ok(Round {
            cpu_ns: per(process_cpu_ns(process) - began_cpu, count),
            took_ns: per(took, count),
            own_load: per(machine::thread_cpu_ns() - began_own, took),
        })
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e6
}

const WARM_UP: usize = 3;
const CLICKS: usize = 100;
const ROUNDS: usize = 7;
const JOINS_A_ROUND: usize = 400;
/// Guests on their way in or out at the same time.
const AT_ONCE: usize = 16;
/// Between two packets of a callee's voice.
const VOICE_NS: u64 = 20_000_000;
const LOOK_NS: u64 = 50_000;
const PATIENCE_NS: u64 = 5_000_000_000;
