//! Where phones are, as it is kept over a restart: a phone registers anew once an hour only, and is
//! not to be unreachable until then. Pure: what is to be written, and what may be read back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sip::event::{Flow, Transport};
use sip::message::Uri;

use super::bindings::{BINDINGS_MAX, Binding, Bindings, EXPIRES_S_MAX};

/// Where the phones of one extension are, all of them; none: it has none any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPhones {
    /// The extension.
    pub extension: String,
    /// Its phones.
    pub phones: Vec<KeptPhone>,
}

/// One phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPhone {
    /// Its Contact.
    pub contact: String,
    /// Its REGISTER came by TCP, else by UDP.
    pub by_tcp: bool,
    /// Our address that it came to.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// What it calls itself.
    pub user_agent: String,
    /// Call-ID of its REGISTER.
    pub call_id: String,
    /// The last `CSeq` number under it.
    pub cseq: u32,
    /// Milliseconds since 1970.
    pub refreshed_at_ms: i64,
    /// Milliseconds since 1970.
    pub expires_at_ms: i64,
}

impl Bindings {
    /// What has changed since the last time, each extension once however often it registered:
    /// at once when nothing was written for [`KEEP_EVERY`], else when that is over. Empty: nothing
    /// is due.
    pub fn take_changes(&mut self, now: Instant, at: Timestamp) -> Vec<KeptPhones> {
        let waits = self.kept_at.is_some_and(|kept| now < kept + KEEP_EVERY);
        if waits || self.changed.is_empty() {
            return Vec::new();
        }
        self.flush_changes(now, at)
    }

    /// The same at the end, whatever the time.
    pub fn flush_changes(&mut self, now: Instant, at: Timestamp) -> Vec<KeptPhones> {
        self.kept_at = Some(now);
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|extension| KeptPhones {
                phones: self
                    .of(&extension, now)
                    .into_iter()
                    .map(|binding| kept(binding, now, at))
                    .collect(),
                extension,
            })
            .collect()
    }

    /// When [`Bindings::take_changes`] has something.
    #[must_use]
    pub(super) fn changes_due(&self) -> Option<Instant> {
        let kept = self.kept_at.filter(|_| !self.changed.is_empty())?;
        Some(kept + KEEP_EVERY)
    }

    /// What the last run has kept, with the time that is left of it. `is_ours`: we still have this
    /// address for that transport; a phone behind one that is gone cannot be reached as it was.
    pub fn restore(
        &mut self,
        kept: Vec<KeptPhones>,
        now: Instant,
        at: Timestamp,
        is_ours: impl Fn(Transport, SocketAddr) -> bool,
    ) {
        for phones in kept {
            debug_assert!(
                self.of(&phones.extension, now).is_empty(),
                "restored before anybody registers"
            );
            for phone in phones.phones {
                if self.len() >= BINDINGS_MAX {
                    return;
                }
                let binding = restored(&phone, now, at);
                let reachable = binding.filter(|it| is_ours(it.flow.transport, it.flow.local));
                if let Some(binding) = reachable {
                    self.put(&phones.extension, binding);
                }
            }
        }
    }
}

fn kept(binding: &Binding, now: Instant, at: Timestamp) -> KeptPhone {
    let left = binding.expires_at.saturating_duration_since(now);
    let age = now.saturating_duration_since(binding.refreshed_at);
    let at = at.as_millisecond();
    KeptPhone {
        contact: binding.uri.as_str().to_owned(),
        by_tcp: binding.flow.transport.is_reliable(),
        local: binding.flow.local,
        remote: binding.flow.remote,
        user_agent: binding.user_agent.to_string(),
        call_id: binding.call_id.to_string(),
        cseq: binding.cseq,
        refreshed_at_ms: at.saturating_sub(milliseconds(age)),
        expires_at_ms: at.saturating_add(milliseconds(left)),
    }
}

/// `None`: it is over, or not to be reached.
fn restored(phone: &KeptPhone, now: Instant, at: Timestamp) -> Option<Binding> {
    let at = at.as_millisecond();
    let left = u64::try_from(phone.expires_at_ms.saturating_sub(at)).ok()?;
    // A clock that was set back meanwhile gives nobody more than a registration can have.
    let left = Duration::from_millis(left).min(Duration::from_secs(EXPIRES_S_MAX.into()));
    if left.is_zero() {
        return None;
    }
    let age = u64::try_from(at.saturating_sub(phone.refreshed_at_ms)).unwrap_or(0);
    let uri = Uri::parse(phone.contact.as_bytes())?;
    let (transport, remote) = match phone.by_tcp {
        false => (Transport::Udp, phone.remote),
        true => (Transport::Tcp, listener(&uri, phone.remote)?),
    };
    Some(Binding {
        uri,
        flow: Flow {
            transport,
            local: phone.local,
            remote,
        },
        expires_at: now + left,
        refreshed_at: now.checked_sub(Duration::from_millis(age)).unwrap_or(now),
        user_agent: phone.user_agent.as_str().into(),
        call_id: phone.call_id.as_str().into(),
        cseq: phone.cseq,
    })
}

/// The connection that a phone registered by is gone with the last run. Where its Contact names the
/// address that it came from, a connection to that leads to it; through a NAT none does.
fn listener(uri: &Uri, came_from: SocketAddr) -> Option<SocketAddr> {
    let host = uri.host().trim_start_matches('[').trim_end_matches(']');
    let named = host.parse().ok()?;
    let port = uri.port().unwrap_or(5060);
    (came_from.ip() == named).then_some(SocketAddr::new(named, port))
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Between two writings: however often phones refresh, each extension is written once in this time.
pub const KEEP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::bindings::{Contacts, Wanted};
    use super::*;

    const AT: i64 = 1_800_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millisecond(AT + seconds * 1_000).unwrap()
    }

    fn flow(transport: Transport, remote: &str) -> Flow {
        Flow {
            transport,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    fn register(bindings: &mut Bindings, flow: Flow, contact: &str, seconds: u32, now: Instant) {
        let uri = Uri::parse(contact.as_bytes()).unwrap();
        let wanted = Wanted {
            flow,
            call_id: contact,
            cseq: 1,
            user_agent: "Phone 1.0",
            contacts: Contacts::Listed(vec![(&uri, Some(seconds))]),
        };
        bindings.apply("610", &wanted, 3, now).unwrap();
    }

    fn udp() -> Flow {
        flow(Transport::Udp, "192.0.2.9:5061")
    }

    #[test]
    fn a_phone_is_read_back_with_the_time_that_is_left_of_it() {
        let (mut before, now) = (Bindings::default(), Instant::now());
        register(&mut before, udp(), "sip:610@192.0.2.9:5061", 600, now);
        let kept = before.take_changes(now, at(0));
        assert_eq!(kept.len(), 1);
        let mut after = Bindings::default();
        let later = now + Duration::from_secs(5);
        after.restore(kept.clone(), later, at(200), |_, _| true);
        let phone = after.of("610", later)[0].clone();
        assert_eq!(phone.expires_at, later + Duration::from_secs(400));
        assert_eq!((phone.flow, &*phone.user_agent), (udp(), "Phone 1.0"));
        assert!(after.take_changes(later, at(200)).is_empty(), "it is kept");
        for (seconds, phones) in [(599, 1), (600, 0), (100_000, 0)] {
            let mut after = Bindings::default();
            after.restore(kept.clone(), now, at(seconds), |_, _| true);
            assert_eq!(after.len(), phones, "{seconds}");
        }
        let mut after = Bindings::default();
        after.restore(kept, now, at(-1_000_000), |_, _| true);
        let most = now + Duration::from_secs(EXPIRES_S_MAX.into());
        assert_eq!(
            after.poll_deadline(),
            Some(most),
            "a clock that was set back"
        );
    }

    #[test]
    fn however_often_it_refreshes_it_is_written_once_a_second() {
        let (mut bindings, start) = (Bindings::default(), Instant::now());
        let mut written = 0;
        for step in 0..1_000_u32 {
            let now = start + Duration::from_millis(10) * step;
            let contact = format!("sip:610@192.0.2.9:{}", 1_024 + step % 3);
            let uri = Uri::parse(contact.as_bytes()).unwrap();
            let wanted = Wanted {
                flow: udp(),
                call_id: "one",
                cseq: step + 1,
                user_agent: "",
                contacts: Contacts::Listed(vec![(&uri, Some(600))]),
            };
            bindings.apply("610", &wanted, 3, now).unwrap();
            written += bindings.take_changes(now, at(0)).len();
        }
        assert_eq!(written, 10, "ten seconds");
        let due = bindings.poll_deadline().unwrap();
        assert!(
            due <= start + Duration::from_secs(10),
            "the last one is due"
        );
        assert_eq!(bindings.take_changes(due, at(0)).len(), 1);
    }

    #[test]
    fn who_leaves_expires_or_loses_its_account_is_written_as_gone() {
        let now = Instant::now();
        let whole = |bindings: &mut Bindings, now| {
            let changes = bindings.flush_changes(now, at(0));
            changes
                .iter()
                .map(|kept| kept.phones.len())
                .collect::<Vec<_>>()
        };
        let contact = "sip:610@192.0.2.9:5061";
        let fresh = || {
            let mut bindings = Bindings::default();
            register(&mut bindings, udp(), contact, 600, now);
            assert_eq!(bindings.flush_changes(now, at(0)).len(), 1);
            bindings
        };
        let mut left = fresh();
        let all = Wanted {
            flow: udp(),
            call_id: "two",
            cseq: 1,
            user_agent: "",
            contacts: Contacts::All,
        };
        left.apply("610", &all, 3, now).unwrap();
        assert_eq!(whole(&mut left, now), [0]);
        let mut over = fresh();
        over.expire(now + Duration::from_secs(600));
        assert_eq!(whole(&mut over, now), [0]);
        let mut unknown = fresh();
        unknown.retain_extensions(|_| false);
        assert_eq!(whole(&mut unknown, now), [0]);
        let mut stays = fresh();
        stays.expire(now);
        stays.retain_extensions(|_| true);
        assert_eq!(whole(&mut stays, now), Vec::<usize>::new());
    }

    #[test]
    fn a_phone_by_tcp_is_read_back_where_its_contact_leads_to_it() {
        let now = Instant::now();
        for (contact, remote) in [
            (
                "sip:610@192.0.2.9:5070;transport=tcp",
                Some("192.0.2.9:5070"),
            ),
            ("sip:610@192.0.2.9;transport=tcp", Some("192.0.2.9:5060")),
            ("sip:610@10.0.0.9:5070;transport=tcp", None),
            ("sip:610@phone.example;transport=tcp", None),
        ] {
            let mut before = Bindings::default();
            let flow = flow(Transport::Tcp, "192.0.2.9:49152");
            register(&mut before, flow, contact, 600, now);
            let mut after = Bindings::default();
            after.restore(before.flush_changes(now, at(0)), now, at(0), |_, _| true);
            let found = after.of("610", now).first().map(|one| one.flow.remote);
            let expected = remote.map(|text| text.parse().unwrap());
            assert_eq!(found, expected, "{contact}");
        }
    }

    #[test]
    fn a_phone_behind_an_address_that_is_not_ours_any_more_is_not_read_back() {
        let now = Instant::now();
        let mut before = Bindings::default();
        register(&mut before, udp(), "sip:610@192.0.2.9", 600, now);
        let mut after = Bindings::default();
        after.restore(before.flush_changes(now, at(0)), now, at(0), |_, _| false);
        assert!(after.is_empty());
    }
}
