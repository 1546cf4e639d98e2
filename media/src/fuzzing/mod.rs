//! Bodies of the fuzz targets: any octets, through what reads octets from the network. They hold
//! the claims beyond "no panic" too, so that a corpus replay checks more than survival.

mod browser;
mod engine;
mod script;
mod secure;

pub use browser::{BrowsersPlayed, browsers};
pub use engine::{Played, engine};
pub use script::Script;
pub use secure::key_changes;

use crate::drop_reason::DropReason;
use crate::ice::stun::{Attribute, MessageView};
use crate::ice::{Refusal, destination_fragment};
use crate::ingress::{Protocol, classify};
use crate::rtcp::{Compound, Feedback, FeedbackMapping};
use crate::rtp::{RtpView, RtpViewMut, Ssrc};
use crate::srtp::{Contexts, MasterKey, ReceiveContext, SrtpPlan, Suite, Unprotected};

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

/// As STUN: every attribute lies inside the message, none is read twice, and who is named without
/// verification is who the message names.
///
/// # Errors
/// Why it is no message.
///
/// # Panics
/// When a claim of the parser does not hold.
#[expect(
    clippy::panic_in_result_fn,
    reason = "a broken claim is what a fuzzer looks for"
)]
pub fn stun(octets: &[u8]) -> Result<(), Refusal> {
    let view = MessageView::parse(octets)?;
    let read: usize = view.attributes().map(|(_, value)| value.len() + 4).sum();
    assert!(read + 20 <= octets.len(), "attributes lie inside");
    assert!(
        view.unknown().len() <= view.attributes().count(),
        "what is unknown is there"
    );
    let named = destination_fragment(octets).ok();
    let is_request = view.expect_binding_request().is_ok();
    let expected = view.user_fragments().ok().filter(|_| is_request);
    assert_eq!(
        named,
        expected.map(|(ours, _)| ours),
        "one name, read twice"
    );
    view.priority().ok();
    view.use_candidate().ok();
    assert!(
        view.error_code()
            .is_none_or(|code| (300..700).contains(&code)),
        "RFC 8489 §14.8"
    );
    assert!(
        view.xor_mapped_address().is_none() || view.first(Attribute::XorMappedAddress).is_some(),
        "an address is read where there is one"
    );
    view.expect_integrity(b"no password of this message").ok();
    Ok(())
}

/// As SRTP and SRTCP under every suite while its key changes, and as what is to be protected: what is
/// refused stays as it was under counter mode; what is protected comes back whole and once.
///
/// # Errors
/// Why it is not believed, under the first suite.
///
/// # Panics
/// When a claim does not hold.
#[expect(
    clippy::panic_in_result_fn,
    reason = "a broken claim is what a fuzzer looks for"
)]
pub fn srtp(octets: &[u8]) -> Result<(), DropReason> {
    let mut refused = Ok(());
    for suite in Suite::ALL.into_iter().rev() {
        let key =
            |seed: u8| MasterKey::new(suite, &vec![seed; suite.key_size() + suite.salt_size()]);
        let plan = |receive| {
            let (send, receive) = key(1).zip(key(receive))?;
            Some(SrtpPlan { send, receive })
        };
        let Some(mut contexts) = plan(2).as_ref().and_then(Contexts::new) else {
            return Err(DropReason::SrtpNotProtected);
        };
        plan(3).and_then(|plan| contexts.renegotiate(&plan, false));
        let judged = [
            Contexts::unprotect_rtp as fn(&Contexts, &mut [u8]) -> Result<Unprotected, DropReason>,
            Contexts::unprotect_rtcp,
        ];
        for judge in judged {
            let mut copy = octets.to_vec();
            if let Err(reason) = judge(&contexts, &mut copy) {
                assert!(suite.is_aead() || copy == octets, "what is refused stays");
                refused = refused.and(Err(reason));
            }
        }
        let send = contexts.send_mut();
        let Some(mut receive) = key(1).as_ref().and_then(ReceiveContext::new) else {
            return Err(DropReason::SrtpNotProtected);
        };
        let mut packet = octets.to_vec();
        packet.resize(octets.len() + send.rtp_overhead(), 0);
        if send.protect_rtp(&mut packet).is_ok() {
            comes_back(&mut receive, ReceiveContext::unprotect_rtp, &packet, octets);
        }
        let mut packet = octets.to_vec();
        packet.resize(octets.len() + send.rtcp_overhead(), 0);
        if send.protect_rtcp(&mut packet).is_ok() {
            comes_back(
                &mut receive,
                ReceiveContext::unprotect_rtcp,
                &packet,
                octets,
            );
        }
    }
    refused
}

/// What was protected is what comes back, once.
fn comes_back(
    receive: &mut ReceiveContext,
    unprotect: fn(&ReceiveContext, &mut [u8]) -> Result<Unprotected, DropReason>,
    packet: &[u8],
    plain: &[u8],
) {
    let mut copy = packet.to_vec();
    let unprotected = unprotect(receive, &mut copy);
    assert_eq!(unprotected.map(|packet| packet.size), Ok(plain.len()));
    assert_eq!(copy.get(..plain.len()), Some(plain), "as it was sent");
    if let Ok(unprotected) = unprotected {
        receive.accept(unprotected);
    }
    let again = unprotect(receive, &mut packet.to_vec());
    assert_eq!(again.err(), Some(DropReason::SrtpReplay));
}
