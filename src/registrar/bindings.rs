//! Where the phones of an extension are: the location service of RFC 3261 §10.3. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use sip::event::Flow;
use sip::message::Uri;

/// One phone.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Its Contact: the Request-URI of calls to it.
    pub uri: Uri,
    /// The path its REGISTER came by: the path of calls to it, through the NAT it may stand behind.
    pub flow: Flow,
    /// Gone from then on.
    pub expires_at: Instant,
    /// When it was last refreshed: the newest phone rings first.
    pub refreshed_at: Instant,
    /// What it calls itself; empty where it does not say.
    pub user_agent: Box<str>,
    pub(super) call_id: Box<str>,
    pub(super) cseq: u32,
}

/// What a REGISTER asks, once its sender is known.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The path it came by.
    pub flow: Flow,
    /// Its Call-ID.
    pub call_id: &'a str,
    /// Its `CSeq` number.
    pub cseq: u32,
    /// Its User-Agent.
    pub user_agent: &'a str,
    /// What it binds or removes; empty: it only asks.
    pub contacts: Contacts<'a>,
}

/// The Contact headers of a REGISTER.
#[derive(Debug, Clone)]
pub enum Contacts<'a> {
    /// `Contact: *` with Expires 0: forget all.
    All,
    /// Each with the seconds it asks for: its own parameter, else the Expires header.
    Listed(Vec<(&'a Uri, Option<u32>)>),
}

/// Why a REGISTER is refused, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A shorter life than we keep a binding for: 423 with `Min-Expires`.
    IntervalTooBrief,
    /// As many phones as the account may have.
    ContactsMax,
    /// The location service is full.
    BindingsMax,
    /// An older request than the one that made the binding: it came late.
    OutOfOrder,
}

impl Refused {
    /// Stable word for logs and counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IntervalTooBrief => "register_interval_too_brief",
            Self::ContactsMax => "register_contacts_max",
            Self::BindingsMax => "register_bindings_max",
            Self::OutOfOrder => "register_out_of_order",
        }
    }

    /// SIP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::IntervalTooBrief => 423,
            Self::ContactsMax => 403,
            Self::BindingsMax => 503,
            Self::OutOfOrder => 500,
        }
    }
}

/// All bindings.
#[derive(Debug, Default)]
pub struct Bindings {
    by_extension: BTreeMap<String, Vec<Binding>>,
    count: usize,
    /// How many end when: nobody looks at all of them each turn to know the next.
    ends: BTreeMap<Instant, usize>,
    /// How many came by which path.
    paths: BTreeMap<Flow, usize>,
    /// Extensions whose phones are other ones than those that are kept: `kept` writes them.
    pub(super) changed: BTreeSet<String>,
    pub(super) kept_at: Option<Instant>,
}

impl Bindings {
    /// Applies a REGISTER, all or nothing (RFC 3261 §10.3, steps 6 to 8).
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub fn apply(
        &mut self,
        extension: &str,
        wanted: &Wanted<'_>,
        contacts_max: u8,
        now: Instant,
    ) -> Result<(), Refused> {
        self.expire(now);
        let known = self.by_extension.get(extension).map(Vec::as_slice);
        let known = known.unwrap_or_default();
        let (mut next, before) = (known.to_vec(), known.len());
        let asks_only = matches!(&wanted.contacts, Contacts::Listed(listed) if listed.is_empty());
        match &wanted.contacts {
            Contacts::All => {
                if next.iter().any(|binding| is_late(binding, wanted)) {
                    return Err(Refused::OutOfOrder);
                }
                next.clear();
            }
            Contacts::Listed(contacts) => {
                for (uri, seconds) in contacts {
                    bind(&mut next, uri, *seconds, wanted, now)?;
                }
            }
        }
        if next.len() > usize::from(contacts_max) {
            return Err(Refused::ContactsMax);
        }
        let count = self.count - before + next.len();
        if count > BINDINGS_MAX {
            return Err(Refused::BindingsMax);
        }
        for binding in known {
            leave(&mut self.ends, &binding.expires_at);
            leave(&mut self.paths, &binding.flow);
        }
        for binding in &next {
            enter(&mut self.ends, binding.expires_at);
            enter(&mut self.paths, binding.flow);
        }
        self.count = count;
        if !asks_only {
            self.changed.insert(extension.to_owned());
        }
        if next.is_empty() {
            self.by_extension.remove(extension);
        } else {
            self.by_extension.insert(extension.to_owned(), next);
        }
        self.check_invariants();
        Ok(())
    }

    /// The phones of an extension that are there now, the newest first.
    #[must_use]
    pub fn of(&self, extension: &str, now: Instant) -> Vec<&Binding> {
        let mut live: Vec<&Binding> = self
            .by_extension
            .get(extension)
            .into_iter()
            .flatten()
            .filter(|binding| now < binding.expires_at)
            .collect();
        live.sort_by_key(|binding| std::cmp::Reverse(binding.refreshed_at));
        live
    }

    /// The connection or address is gone: whoever registered over it is not there.
    pub fn forget_flow(&mut self, flow: Flow) {
        if self.paths.contains_key(&flow) {
            self.retain(|binding| binding.flow != flow);
        }
    }

    /// Keeps only the phones of accounts that this holds for.
    pub fn retain_extensions(&mut self, keep: impl Fn(&str) -> bool) {
        let changed = &mut self.changed;
        self.by_extension.retain(|name, _| {
            let stays = keep(name);
            if !stays {
                changed.insert(name.clone());
            }
            stays
        });
        self.count_again();
    }

    /// Forgets what is over.
    pub fn expire(&mut self, now: Instant) {
        let first = self.ends.first_key_value();
        if first.is_some_and(|(at, _)| *at <= now) {
            self.retain(|binding| now < binding.expires_at);
        }
    }

    /// When the next binding ends, or changes are to be written.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        let ends = self.ends.first_key_value().map(|(at, _)| *at);
        ends.into_iter().chain(self.changes_due()).min()
    }

    /// The phones of the extensions after this one, by name; each extension whole.
    pub fn after<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a [Binding])> {
        let after = (Bound::Excluded(name), Bound::Unbounded);
        self.by_extension
            .range::<str, _>(after)
            .map(|(name, bindings)| (name.as_str(), bindings.as_slice()))
    }

    /// One phone more, as it was kept.
    pub(super) fn put(&mut self, extension: &str, binding: Binding) {
        enter(&mut self.ends, binding.expires_at);
        enter(&mut self.paths, binding.flow);
        let phones = self.by_extension.entry(extension.to_owned()).or_default();
        phones.push(binding);
        self.count += 1;
        self.check_invariants();
    }

    /// Phones that are registered.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True where no phone is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn retain(&mut self, keep: impl Fn(&Binding) -> bool) {
        for (name, bindings) in &mut self.by_extension {
            let before = bindings.len();
            bindings.retain(&keep);
            if bindings.len() != before {
                self.changed.insert(name.clone());
            }
        }
        self.by_extension.retain(|_, bindings| !bindings.is_empty());
        self.count_again();
    }

    /// After what may have changed many.
    fn count_again(&mut self) {
        let (mut ends, mut paths) = (BTreeMap::new(), BTreeMap::new());
        self.count = 0;
        for binding in self.by_extension.values().flatten() {
            enter(&mut ends, binding.expires_at);
            enter(&mut paths, binding.flow);
            self.count += 1;
        }
        (self.ends, self.paths) = (ends, paths);
    }

    fn check_invariants(&self) {
        let of_ends: usize = self.ends.values().sum();
        let of_paths: usize = self.paths.values().sum();
        debug_assert_eq!((of_ends, of_paths), (self.count, self.count), "each once");
        let counted: usize = self.by_extension.values().map(Vec::len).sum();
        debug_assert_eq!(counted, self.count, "the count is that of the table");
        debug_assert!(self.count <= BINDINGS_MAX, "bounded");
    }
}

fn enter<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn leave<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    let left = counts.get_mut(key).map(|count| {
        *count = count.saturating_sub(1);
        *count
    });
    debug_assert!(left.is_some(), "what leaves was there");
    if left == Some(0) {
        counts.remove(key);
    }
}

/// Seconds from now until this binding ends, at least one, for the Contact of the answer.
#[must_use]
pub fn seconds_left(binding: &Binding, now: Instant) -> u64 {
    let left = binding.expires_at.saturating_duration_since(now);
    left.as_secs().max(1)
}

fn bind(
    bindings: &mut Vec<Binding>,
    uri: &Uri,
    seconds: Option<u32>,
    wanted: &Wanted<'_>,
    now: Instant,
) -> Result<(), Refused> {
    let at = bindings
        .iter()
        .position(|binding| binding.uri.is_equivalent(uri));
    if at
        .and_then(|at| bindings.get(at))
        .is_some_and(|binding| is_late(binding, wanted))
    {
        return Err(Refused::OutOfOrder);
    }
    let seconds = seconds.unwrap_or(EXPIRES_S_DEFAULT);
    if seconds > 0 && seconds < EXPIRES_S_MIN {
        return Err(Refused::IntervalTooBrief);
    }
    if let Some(at) = at {
        bindings.remove(at);
    }
    if seconds > 0 {
        let life = Duration::from_secs(u64::from(seconds.min(EXPIRES_S_MAX)));
        bindings.push(Binding {
            uri: uri.clone(),
            flow: wanted.flow,
            expires_at: now + life,
            refreshed_at: now,
            user_agent: wanted.user_agent.into(),
            call_id: wanted.call_id.into(),
            cseq: wanted.cseq,
        });
    }
    Ok(())
}

/// RFC 3261 §10.3: with the same Call-ID, a `CSeq` that is not higher is an older request.
fn is_late(binding: &Binding, wanted: &Wanted<'_>) -> bool {
    &*binding.call_id == wanted.call_id && wanted.cseq <= binding.cseq
}

/// What a REGISTER without a wish gets.
pub const EXPIRES_S_DEFAULT: u32 = 3_600;
/// Shorter is refused with 423: a phone that refreshes more often is a load.
pub const EXPIRES_S_MIN: u32 = 60;
/// Longer is shortened.
pub const EXPIRES_S_MAX: u32 = 7_200;
/// Phones of all extensions.
pub const BINDINGS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use sip::event::Transport;

    fn uri(text: &str) -> Uri {
        Uri::parse(text.as_bytes()).unwrap()
    }

    fn flow(port: u16) -> Flow {
        Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: ([192, 0, 2, 9], port).into(),
        }
    }

    fn register<'a>(cseq: u32, contacts: Vec<(&'a Uri, Option<u32>)>) -> Wanted<'a> {
        Wanted {
            flow: flow(5061),
            call_id: "one",
            cseq,
            user_agent: "",
            contacts: Contacts::Listed(contacts),
        }
    }

    #[test]
    fn a_phone_is_there_until_its_time_is_over_or_it_leaves() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let desk = uri("sip:610@192.0.2.9:5061");
        let wanted = register(1, vec![(&desk, Some(100))]);
        bindings.apply("610", &wanted, 3, now).unwrap();
        assert_eq!(bindings.of("610", now).len(), 1);
        assert!(bindings.of("611", now).is_empty());
        let last = now + Duration::from_secs(100);
        assert_eq!(bindings.poll_deadline(), Some(last));
        assert!(bindings.of("610", last).is_empty());
        let left = register(2, vec![(&desk, Some(0))]);
        bindings.apply("610", &left, 3, now).unwrap();
        assert!(bindings.is_empty());
        assert_eq!(bindings.poll_deadline(), None);
    }

    #[test]
    fn the_newest_phone_comes_first_and_all_leave_together() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let (desk, soft) = (uri("sip:610@192.0.2.9:5061"), uri("sip:610@192.0.2.10"));
        bindings
            .apply("610", &register(1, vec![(&desk, None)]), 3, now)
            .unwrap();
        let later = now + Duration::from_secs(5);
        let second = Wanted {
            call_id: "two",
            flow: flow(6000),
            ..register(1, vec![(&soft, None)])
        };
        bindings.apply("610", &second, 3, later).unwrap();
        let order: Vec<&str> = bindings
            .of("610", later)
            .iter()
            .map(|binding| binding.uri.as_str())
            .collect();
        assert_eq!(order, [soft.as_str(), desk.as_str()]);
        let all = Wanted {
            contacts: Contacts::All,
            ..register(9, vec![])
        };
        bindings.apply("610", &all, 3, later).unwrap();
        assert_eq!(bindings.len(), 0);
    }

    #[test]
    fn a_request_that_came_late_changes_nothing() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let (desk, soft) = (uri("sip:610@192.0.2.9"), uri("sip:610@192.0.2.10"));
        bindings
            .apply("610", &register(7, vec![(&desk, Some(600))]), 3, now)
            .unwrap();
        let late = register(7, vec![(&soft, Some(600)), (&desk, Some(0))]);
        assert_eq!(
            bindings.apply("610", &late, 3, now),
            Err(Refused::OutOfOrder)
        );
        assert_eq!(
            bindings.of("610", now).len(),
            1,
            "the other contact neither"
        );
        let other_dialog = Wanted {
            call_id: "rebooted",
            ..register(1, vec![(&desk, Some(600))])
        };
        bindings.apply("610", &other_dialog, 3, now).unwrap();
    }

    #[test]
    fn too_brief_too_many_and_too_long_have_their_answers() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let (a, b) = (uri("sip:1@192.0.2.9"), uri("sip:2@192.0.2.9"));
        let brief = register(1, vec![(&a, Some(EXPIRES_S_MIN - 1))]);
        let refused = bindings.apply("610", &brief, 3, now).unwrap_err();
        assert_eq!(
            (refused, refused.status()),
            (Refused::IntervalTooBrief, 423)
        );
        let two = register(1, vec![(&a, None), (&b, None)]);
        assert_eq!(
            bindings.apply("610", &two, 1, now),
            Err(Refused::ContactsMax)
        );
        assert!(bindings.is_empty());
        let long = register(1, vec![(&a, Some(u32::MAX))]);
        bindings.apply("610", &long, 1, now).unwrap();
        assert_eq!(
            bindings.poll_deadline(),
            Some(now + Duration::from_secs(u64::from(EXPIRES_S_MAX)))
        );
    }

    #[test]
    fn a_connection_that_broke_takes_its_phones_along() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let a = uri("sip:1@192.0.2.9");
        bindings
            .apply("610", &register(1, vec![(&a, None)]), 1, now)
            .unwrap();
        bindings.forget_flow(flow(1));
        assert_eq!(bindings.len(), 1);
        bindings.forget_flow(flow(5061));
        assert!(bindings.is_empty());
    }

    #[test]
    fn the_location_service_is_bounded() {
        let (mut bindings, now) = (Bindings::default(), Instant::now());
        let contacts: Vec<Uri> = (0..10)
            .map(|n| uri(&format!("sip:{n}@192.0.2.9")))
            .collect();
        let all = || contacts.iter().map(|uri| (uri, None)).collect();
        for number in 0..BINDINGS_MAX / 10 {
            let name = number.to_string();
            bindings.apply(&name, &register(1, all()), 10, now).unwrap();
        }
        assert_eq!(bindings.len(), BINDINGS_MAX);
        let one_more = bindings.apply("x", &register(1, all()), 10, now);
        assert_eq!(one_more, Err(Refused::BindingsMax));
    }

    /// The next end is an index of its own, and must be that of the table.
    #[test]
    fn the_next_end_is_known_however_phones_come_and_go() {
        let (mut bindings, start) = (Bindings::default(), Instant::now());
        let mut now = start;
        for step in 0..400_u32 {
            now += Duration::from_secs(u64::from(step % 7));
            let (name, seconds) = (format!("6{}", step % 23), 60 + step * 37 % 300);
            let phone = uri(&format!("sip:p@192.0.2.{}", step % 3 + 1));
            let port = 5_061 + u16::try_from(step % 5).unwrap();
            let wanted = Wanted {
                flow: flow(port),
                ..register(step + 1, vec![(&phone, Some(seconds))])
            };
            bindings.apply(&name, &wanted, 3, now).unwrap();
            match step % 11 {
                3 => bindings.forget_flow(flow(port)),
                5 => bindings.retain_extensions(|kept| kept != name),
                7 => bindings.expire(now),
                _ => {}
            }
            bindings.check_invariants();
            let all = bindings.by_extension.values().flatten();
            let next = all.map(|binding| binding.expires_at).min();
            assert_eq!(bindings.ends.keys().next().copied(), next, "step {step}");
            let of_path = |binding: &Binding| binding.flow == flow(port);
            let mut all = bindings.by_extension.values().flatten();
            assert_eq!(all.any(of_path), bindings.paths.contains_key(&flow(port)));
        }
        bindings.expire(now + Duration::from_secs(7_200));
        assert!(bindings.is_empty() && bindings.ends.is_empty() && bindings.paths.is_empty());
    }
}
