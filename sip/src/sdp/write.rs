//! [`SessionDescription`] to text, lines in the order of RFC 8866 §5.

use super::{ExtMap, Host, MediaDescription, SessionDescription};
use crate::message::SendBuffer;

impl SessionDescription {
    /// Appends the description. No value can break its line.
    pub fn write(&self, buffer: &mut SendBuffer) {
        buffer.push(b"v=0\r\no=");
        buffer.push_line_text(self.origin.username.as_bytes());
        buffer.push(b" ");
        buffer.push_line_text(self.origin.session_id.as_bytes());
        buffer.push(b" ");
        buffer.push_display(&self.origin.version);
        buffer.push(b" ");
        write_host(&self.origin.address, buffer);
        buffer.push(b"\r\ns=-\r\n");
        if let Some(connection) = &self.connection {
            write_connection(connection, buffer);
        }
        buffer.push(b"t=0 0\r\n");
        if let Some(direction) = self.direction {
            write_flag(direction.as_str(), buffer);
        }
        if let Some(browser) = &self.browser {
            browser.write(buffer);
        }
        for media in &self.media {
            media.write(buffer);
        }
    }
}

impl MediaDescription {
    fn write(&self, buffer: &mut SendBuffer) {
        buffer.push(b"m=");
        buffer.push_line_text(self.kind.as_str().as_bytes());
        buffer.push(b" ");
        buffer.push_display(&self.port);
        buffer.push(b" ");
        buffer.push_line_text(self.protocol.as_bytes());
        for format in &self.formats {
            buffer.push(b" ");
            buffer.push_line_text(format.as_bytes());
        }
        buffer.push(b"\r\n");
        if let Some(connection) = &self.connection {
            write_connection(connection, buffer);
        }
        if let Some(kbit) = self.bandwidth.application_kbit {
            buffer.push_display(&format_args!("b=AS:{kbit}"));
            buffer.push(b"\r\n");
        }
        if let Some(bit) = self.bandwidth.independent_bit {
            buffer.push_display(&format_args!("b=TIAS:{bit}"));
            buffer.push(b"\r\n");
        }
        for map in &self.rtpmaps {
            let (payload_type, name, rate) = (map.payload_type, &map.name, map.clock_rate_hz);
            buffer.push_display(&format_args!("a=rtpmap:{payload_type} {name}/{rate}"));
            if map.channels != 1 {
                buffer.push_display(&format_args!("/{}", map.channels));
            }
            buffer.push(b"\r\n");
        }
        for fmtp in &self.fmtps {
            let (payload_type, parameters) = (fmtp.payload_type, &fmtp.parameters);
            buffer.push_display(&format_args!("a=fmtp:{payload_type} {parameters}"));
            buffer.push(b"\r\n");
        }
        self.write_feedback(buffer);
        if let Some(content) = &self.content {
            buffer.push(b"a=content:");
            buffer.push_line_text(content.as_bytes());
            buffer.push(b"\r\n");
        }
        if let Some(ptime_ms) = self.ptime_ms {
            buffer.push_display(&format_args!("a=ptime:{ptime_ms}"));
            buffer.push(b"\r\n");
        }
        if let Some(rtcp) = &self.rtcp {
            buffer.push_display(&format_args!("a=rtcp:{}", rtcp.port));
            if let Some(host) = &rtcp.host {
                buffer.push(b" ");
                write_host(host, buffer);
            }
            buffer.push(b"\r\n");
        }
        if self.rtcp_mux {
            write_flag("rtcp-mux", buffer);
        }
        for crypto in &self.crypto {
            buffer.push(b"a=crypto:");
            buffer.push_line_text(crypto.as_bytes());
            buffer.push(b"\r\n");
        }
        if let Some(direction) = self.direction {
            write_flag(direction.as_str(), buffer);
        }
        if let Some(browser) = &self.browser {
            browser.write(buffer);
        }
    }

    /// What crosses of feedback, and the header extensions that some of it speaks of.
    fn write_feedback(&self, buffer: &mut SendBuffer) {
        for feedback in &self.feedback {
            buffer.push(b"a=rtcp-fb:");
            match feedback.payload_type {
                Some(payload_type) => buffer.push_display(&payload_type),
                None => buffer.push(b"*"),
            }
            buffer.push(b" ");
            buffer.push_line_text(feedback.value.as_bytes());
            buffer.push(b"\r\n");
        }
        for extension in &self.extensions {
            write_extension(extension, buffer);
        }
    }
}

pub(super) fn write_extension(extension: &ExtMap, buffer: &mut SendBuffer) {
    buffer.push_display(&format_args!("a=extmap:{}", extension.id));
    if let Some(direction) = extension.direction {
        buffer.push(b"/");
        buffer.push(direction.as_str().as_bytes());
    }
    buffer.push(b" ");
    buffer.push_line_text(extension.uri.as_bytes());
    buffer.push(b"\r\n");
}

/// `a=<name>:<text>`
pub(super) fn write_text(name: &str, text: &str, buffer: &mut SendBuffer) {
    buffer.push(b"a=");
    buffer.push(name.as_bytes());
    buffer.push(b":");
    buffer.push_line_text(text.as_bytes());
    buffer.push(b"\r\n");
}

pub(super) fn write_flag(name: &str, buffer: &mut SendBuffer) {
    buffer.push(b"a=");
    buffer.push(name.as_bytes());
    buffer.push(b"\r\n");
}

fn write_connection(host: &Host, buffer: &mut SendBuffer) {
    buffer.push(b"c=");
    write_host(host, buffer);
    buffer.push(b"\r\n");
}

/// `IN IP4 192.0.2.1`. A name is written as IPv4, as most peers do.
fn write_host(host: &Host, buffer: &mut SendBuffer) {
    match host {
        Host::Address(address) => {
            buffer.push(if address.is_ipv4() {
                b"IN IP4 "
            } else {
                b"IN IP6 "
            });
            buffer.push_display(address);
        }
        Host::Name(name) => {
            buffer.push(b"IN IP4 ");
            buffer.push_line_text(name.as_bytes());
        }
    }
}
