//! The attributes of browsers to text.

use super::{BrowserLines, BrowserSessionLines, Candidate, Fingerprint, TransportLines};
use crate::message::SendBuffer;
use crate::sdp::write::{write_extension, write_flag, write_text};

impl BrowserSessionLines {
    pub(in crate::sdp) fn write(&self, buffer: &mut SendBuffer) {
        for bundle in &self.bundles {
            buffer.push(b"a=group:BUNDLE");
            for mid in bundle {
                buffer.push(b" ");
                buffer.push_line_text(mid.as_bytes());
            }
            buffer.push(b"\r\n");
        }
        if self.ice_lite {
            write_flag("ice-lite", buffer);
        }
        self.transport.write(buffer);
        for extension in &self.extensions {
            write_extension(extension, buffer);
        }
    }
}

impl BrowserLines {
    pub(in crate::sdp) fn write(&self, buffer: &mut SendBuffer) {
        if let Some(mid) = &self.mid {
            write_text("mid", mid, buffer);
        }
        if self.bundle_only {
            write_flag("bundle-only", buffer);
        }
        self.transport.write(buffer);
        for candidate in &self.candidates.hosts {
            candidate.write(buffer);
        }
        if self.end_of_candidates {
            write_flag("end-of-candidates", buffer);
        }
        if self.rtcp_rsize {
            write_flag("rtcp-rsize", buffer);
        }
        if let Some(msid) = &self.msid {
            let (stream, track) = (&msid.stream, msid.track.as_deref().unwrap_or_default());
            let text = smol_str::format_smolstr!("{stream} {track}");
            write_text("msid", text.trim_ascii_end(), buffer);
        }
        if let Some((stream, repeats)) = self.repeated_by {
            buffer.push_display(&format_args!("a=ssrc-group:FID {stream} {repeats}"));
            buffer.push(b"\r\n");
        }
        for source in &self.sources {
            buffer.push_display(&format_args!("a=ssrc:{}", source.ssrc));
            if let Some(cname) = &source.cname {
                buffer.push_display(&format_args!(" cname:{cname}"));
            }
            buffer.push(b"\r\n");
            if let (Some(_), Some(msid)) = (&source.cname, &self.msid) {
                let (stream, track) = (&msid.stream, msid.track.as_deref().unwrap_or_default());
                buffer.push_display(&format_args!(
                    "a=ssrc:{} msid:{stream} {track}",
                    source.ssrc
                ));
                buffer.push(b"\r\n");
            }
        }
    }
}

impl TransportLines {
    fn write(&self, buffer: &mut SendBuffer) {
        if let Some(ufrag) = &self.ice_ufrag {
            write_text("ice-ufrag", ufrag, buffer);
        }
        if let Some(password) = &self.ice_pwd {
            write_text("ice-pwd", password.as_str(), buffer);
        }
        if let Some(options) = &self.ice_options {
            write_text("ice-options", options, buffer);
        }
        for fingerprint in &self.fingerprints {
            fingerprint.write(buffer);
        }
        if let Some(setup) = self.setup {
            write_text("setup", setup.as_str(), buffer);
        }
    }
}

impl Fingerprint {
    fn write(&self, buffer: &mut SendBuffer) {
        buffer.push_display(&format_args!("a=fingerprint:{}", self.hash.as_str()));
        for (place, octet) in self.octets.iter().enumerate() {
            buffer.push(if place == 0 { b" " } else { b":" });
            buffer.push_display(&format_args!("{octet:02X}"));
        }
        buffer.push(b"\r\n");
    }
}

impl Candidate {
    fn write(&self, buffer: &mut SendBuffer) {
        let (foundation, priority) = (&self.foundation, self.priority);
        let (address, port) = (self.address.ip(), self.address.port());
        buffer.push_display(&format_args!(
            "a=candidate:{foundation} 1 udp {priority} {address} {port} typ host"
        ));
        buffer.push(b"\r\n");
    }
}
