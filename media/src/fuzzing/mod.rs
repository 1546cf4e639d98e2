//! Bodies of the fuzz targets: any octets, through what reads octets from the network. They hold
//! the claims beyond "no panic" too, so that a corpus replay checks more than survival.

mod engine;

pub use engine::engine;

use crate::drop_reason::DropReason;
use crate::ingress::{Protocol, classify};
use crate::rtcp::{Compound, Feedback, FeedbackMapping};
use crate::rtp::{RtpView, RtpViewMut, Ssrc};

/// One datagram: classified, and read as what it claims to be. Says why it is refused.
///
/// # Errors
/// Why a worker drops it.
///
/// # Panics
/// When a claim of the parsers does not hold.
pub fn datagram(octets: &[u8]) -> Result<Protocol, DropReason> {
    let protocol = classify(octets);
    match protocol {
        Protocol::Rtp => rtp(octets).map(|()| protocol),
        Protocol::Rtcp => rtcp(octets).map(|()| protocol),
        Protocol::Stun => Err(DropReason::Stun),
        Protocol::Dtls => Err(DropReason::Dtls),
        Protocol::Other => Err(DropReason::UnknownProtocol),
    }
}

/// As RTP: what is read lies inside the packet, and writing back what was read changes nothing.
///
/// # Errors
/// Why it is not RTP.
///
/// # Panics
/// When a claim of the parser does not hold.
#[expect(
    clippy::panic_in_result_fn,
    reason = "a broken claim is what a fuzzer looks for"
)]
pub fn rtp(octets: &[u8]) -> Result<(), DropReason> {
    let view = RtpView::parse(octets)?;
    let extension = view.extension().map_or(0, |(_, content)| content.len() + 4);
    let size = 12 + 4 * view.csrcs().count() + extension + view.payload().len();
    assert!(
        size <= octets.len(),
        "the parts are no longer than the whole"
    );
    let mut copy = octets.to_vec();
    let mut writer = RtpViewMut::parse(&mut copy)?;
    writer.set(
        view.marker(),
        view.payload_type(),
        view.sequence(),
        view.timestamp(),
        view.ssrc(),
    );
    assert_eq!(
        writer.payload_mut().len(),
        view.payload().len(),
        "one payload, read twice"
    );
    assert_eq!(copy, octets, "what is written back is what was there");
    Ok(())
}

/// As RTCP: every packet of a valid compound can be read, and feedback that is passed on is valid, and
/// no longer than it was.
///
/// # Errors
/// Why it is not RTCP.
///
/// # Panics
/// When a claim of the parser does not hold.
#[expect(
    clippy::panic_in_result_fn,
    reason = "a broken claim is what a fuzzer looks for"
)]
pub fn rtcp(octets: &[u8]) -> Result<(), DropReason> {
    let mut blocks = 0;
    for packet in Compound::parse(octets)?.packets() {
        blocks += packet.report_blocks().count() * 24;
        assert!(
            packet.ssrc().is_some() || packet.report_blocks().count() == 0,
            "blocks have an author"
        );
        let Ok(feedback) = Feedback::read(packet) else {
            continue;
        };
        let mapping = FeedbackMapping {
            ours: packet.ssrc().unwrap_or_default(),
            sender: Ssrc(1),
            feed: Ssrc(2),
            intra_request: 3,
        };
        let mut written = [0; 1_200];
        if let Ok(size) = feedback.write(&mut written, mapping, Some) {
            assert!(size <= octets.len(), "feedback does not grow");
            let passed_on = Compound::parse(written.get(..size).unwrap_or_default());
            assert!(passed_on.is_ok(), "what is passed on is valid");
        }
    }
    assert!(blocks <= octets.len(), "blocks lie inside the packet");
    Ok(())
}
