//! Rows of paced speech between browsers and phones: 50 packets a second both ways in each session, SRTP
//! by DTLS on one side and plain RTP on the other, in turns with the same number of plain sessions.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::carrier::{Guests, Target as _};
use crate::paced::{Series, Standing, interleave};
use crate::relay::{MEDIA_THREAD, Row, Stage, row};
use crate::report::{self, Progress, progress};
use crate::rtp_flow::{Pace, RtpLoad};

/// CPU of a packet between a browser and a phone over that of a plain one.
pub(super) const RELAY_CPU: Row = ("browser.relay_cpu", 2.5);
/// 500 browsers on one core: packets lost, latency.
const LOST: Row = ("browser.legs_lost", 0.0);
const P99: Row = ("browser.legs_p99_ms", 2.0);
/// A hundred of them.
const DELAY: Row = ("browser.delay_p99_ms", 1.5);
/// All of them.
pub(super) const ROWS: [Row; 4] = [RELAY_CPU, LOST, P99, DELAY];

/// Measures, and prints the rows.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let plain = stage.standing("plain", 0, SESSIONS, |_| ())?;
    let browsers = browsers(stage)?;
    let mut standing = [plain, browsers];
    let pace = |sessions| Pace::speech(sessions, ROUND);
    let mut series = [
        Series::new("plain", 0, pace(SESSIONS), stage.effort(ROUNDS)),
        Series::new("browsers", 1, pace(SESSIONS), stage.effort(ROUNDS)),
        Series::new("few browsers", 1, pace(FEW_SESSIONS), stage.effort(ROUNDS)),
    ];
    let steps = series.iter().map(Series::wanted).sum();
    let mut progress = Progress::new("browser", steps);
    interleave(
        &mut standing,
        &mut series,
        stage.cores,
        &mut progress,
        &mut || Ok(()),
    )?;
    let [plain, browsers, few] = &series;
    let cpu = |series: &Series| series.lowest(|one| one.cpu_ns);
    let ratio = cpu(plain).and_then(|plain_ns| {
        let browser_ns = cpu(browsers)?;
        report::figure("browser.plain_cpu_ns", plain_ns);
        report::figure("browser.cpu_ns", browser_ns);
        report::figure("browser.core", browsers.lowest(|one| one.core)?);
        Ok(browser_ns / plain_ns)
    });
    row(RELAY_CPU, ratio);
    let (sent, lost) = browsers.sent_and_lost();
    report::figure("browser.legs_packets", sent as f64);
    row(LOST, cpu(browsers).map(|_| lost as f64));
    row(P99, stage.added_ms(browsers, 0.99));
    for (name, quantile) in [("p50", 0.5), ("p999", 0.999)] {
        if let Ok(ms) = stage.added_ms(few, quantile) {
            report::figure(&format!("browser.delay_{name}_ms"), ms);
        }
    }
    row(DELAY, stage.added_ms(few, 0.99));
    for one in &mut standing {
        one.target.finish();
    }
    Ok(())
}

/// A node with guests that talk.
fn browsers(stage: &mut Stage<'_>) -> Result<Standing> {
    let place = stage.place("guests", 1, MEDIA_THREAD, |_| ())?;
    let mut guests = Guests::new("browsers", place, false)?;
    let subject = guests.subject()?;
    subject.spread(stage.cores)?;
    let mut load = RtpLoad::new()?;
    guests
        .stand(&mut load, SESSIONS)
        .with_context(|| format!("{SESSIONS} guests"))?;
    progress(&format!("browser: {SESSIONS} guests talk"));
    subject.spread(stage.cores)?;
    Ok(Standing {
        target: Box::new(guests),
        subject,
        load,
    })
}

const SESSIONS: usize = 500;
const FEW_SESSIONS: usize = 100;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
