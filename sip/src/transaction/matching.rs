//! Which transaction a message belongs to (RFC 3261 §17.1.3 and §17.2.3).
//!
//! Owns the keys as octets, built into a buffer that is used again: a look-up allocates nothing.

/// What a request is matched by. All parts are as they stand in the message.
#[derive(Debug, Clone, Copy)]
pub struct RequestIdentity<'a> {
    /// The branch of the topmost Via; empty where it has none.
    pub branch: &'a [u8],
    /// Host of sent-by of the topmost Via.
    pub host: &'a [u8],
    /// Port of sent-by; none is 5060.
    pub port: u16,
    /// The method; that of ACK is INVITE here.
    pub method: &'a [u8],
    /// Tag of From; empty: none.
    pub from_tag: &'a [u8],
    /// Tag of To; empty: none.
    pub to_tag: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// Number of CSeq.
    pub cseq: u32,
    /// Request-URI as written.
    pub request_uri: &'a [u8],
}

impl RequestIdentity<'_> {
    /// Writes the key of the server transaction.
    pub fn write_key(&self, key: &mut Vec<u8>) {
        key.clear();
        if is_rfc_3261_branch(self.branch) {
            key.push(b'3');
            append(key, self.method);
            append_lower(key, self.branch);
            append_lower(key, self.host);
            append(key, &self.port.to_be_bytes());
        } else {
            // RFC 2543 peers: everything that stays the same in a repetition. The To tag is left
            // out, because an ACK carries ours and the INVITE did not.
            key.push(b'2');
            append(key, self.method);
            append(key, self.branch);
            append_lower(key, self.host);
            append(key, &self.port.to_be_bytes());
            append(key, self.from_tag);
            append(key, self.call_id);
            append(key, &self.cseq.to_be_bytes());
            append(key, self.request_uri);
        }
    }

    /// Writes the key by which a merged request is found (RFC 3261 §8.2.2.2): the same request
    /// that came by another path.
    pub fn write_merged_key(&self, key: &mut Vec<u8>) {
        key.clear();
        append(key, self.method);
        append(key, self.from_tag);
        append(key, self.call_id);
        append(key, &self.cseq.to_be_bytes());
    }
}

/// True for a branch with the cookie of RFC 3261 §8.1.1.7, and something after it.
#[must_use]
pub fn is_rfc_3261_branch(branch: &[u8]) -> bool {
    const COOKIE: &[u8] = crate::identifier::BRANCH_COOKIE.as_bytes();
    branch.len() > COOKIE.len()
        && branch
            .get(..COOKIE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(COOKIE))
}

/// Appends a part so that two lists of parts never give the same octets.
fn append(key: &mut Vec<u8>, part: &[u8]) {
    key.extend_from_slice(part);
    key.push(0);
}

/// The same for tokens that compare without case (RFC 3261 §7.3.1).
fn append_lower(key: &mut Vec<u8>, part: &[u8]) {
    key.extend(part.iter().map(u8::to_ascii_lowercase));
    key.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity<'a>() -> RequestIdentity<'a> {
        RequestIdentity {
            branch: b"z9hG4bKa",
            host: b"10.0.0.1",
            port: 5060,
            method: b"INVITE",
            from_tag: b"f",
            to_tag: b"",
            call_id: b"c",
            cseq: 1,
            request_uri: b"sip:a@b",
        }
    }

    fn key(identity: RequestIdentity<'_>) -> Vec<u8> {
        let mut key = Vec::new();
        identity.write_key(&mut key);
        key
    }

    /// RFC 3261 §17.2.3: branch, sent-by and method, and nothing else.
    #[test]
    fn the_cookie_makes_branch_sent_by_and_method_decide() {
        let first = key(identity());
        assert_eq!(
            first,
            key(RequestIdentity {
                cseq: 9,
                from_tag: b"x",
                ..identity()
            })
        );
        assert_ne!(
            first,
            key(RequestIdentity {
                branch: b"z9hG4bKb",
                ..identity()
            })
        );
        assert_ne!(
            first,
            key(RequestIdentity {
                host: b"10.0.0.2",
                ..identity()
            })
        );
        assert_ne!(
            first,
            key(RequestIdentity {
                method: b"CANCEL",
                ..identity()
            })
        );
    }

    /// RFC 3261 §17.2.3, second half: without the cookie, the other fields decide.
    #[test]
    fn without_the_cookie_the_request_itself_decides() {
        let old = RequestIdentity {
            branch: b"1",
            ..identity()
        };
        assert_eq!(
            key(old),
            key(RequestIdentity {
                to_tag: b"ours",
                ..old
            })
        );
        assert_ne!(key(old), key(RequestIdentity { cseq: 2, ..old }));
        assert_ne!(
            key(old),
            key(RequestIdentity {
                call_id: b"d",
                ..old
            })
        );
        assert!(!is_rfc_3261_branch(b"z9hG4bK"));
    }
}
