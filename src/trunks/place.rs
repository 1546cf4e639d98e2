//! What the text of a target means, and what name servers' records make of it: RFC 3263 §4.2, RFC
//! 2782. Pure: who asks them is `names`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::model::{Transport, TrunkTarget};
use crate::links::rules;

/// Addresses that one name may have, and SRV records that are read for it.
pub const ADDRESSES_MAX: usize = 16;
/// The port of SIP where no SRV record names one, RFC 3261 §19.1.2.
pub const PORT: u16 = 5060;
/// The sentence of [`is_target`].
pub const TARGET: &str = "host and port such as \"192.0.2.1:5060\" or \"sip.example.com:5060\", or \
                          a name with a dot such as \"sip.example.com\", found by SRV";

/// The text of a target: host and port, or a name that is found by SRV.
#[must_use]
pub fn is_target(text: &str) -> bool {
    is_host_and_port(text) || is_service(text)
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        rules::is_domain(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A name without a port. It has a dot, so that a slip of the pen is no name; an address is none.
fn is_service(text: &str) -> bool {
    let bare = text.strip_suffix('.').unwrap_or(text);
    bare.contains('.') && !text.contains(':') && rules::is_domain(text) && !is_address(text)
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// What name servers are asked for one target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// `sip.example.com:5060`: addresses only, the port is known.
    Host(String),
    /// A name without a port.
    Service {
        /// Without a final dot.
        name: String,
        /// The protocol label of RFC 2782.
        protocol: &'static str,
    },
}

impl Question {
    /// `None`: the text is an address, nobody is asked.
    #[must_use]
    pub fn of(target: &str, transport: Transport) -> Option<Self> {
        if target.parse::<SocketAddr>().is_ok() {
            return None;
        }
        if !is_service(target) {
            return Some(Self::Host(target.to_owned()));
        }
        Some(Self::Service {
            name: target.strip_suffix('.').unwrap_or(target).to_owned(),
            protocol: match transport {
                Transport::Udp => "_udp",
                Transport::Tcp => "_tcp",
            },
        })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) => formatter.write_str(text),
            Self::Service { name, protocol } => write!(formatter, "_sip.{protocol}.{name}"),
        }
    }
}

/// One SRV record, RFC 2782.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SrvRecord {
    /// Lowest first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// Where it listens.
    pub port: u16,
    /// Its host, with a final dot; the root alone: the service is not offered here.
    pub host: String,
}

impl SrvRecord {
    /// By priority, the heavier first among equals; whatever order the server gave.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let weight = || other.weight.cmp(&self.weight);
        let priority = self.priority.cmp(&other.priority);
        priority.then_with(weight).then_with(|| self.cmp(other))
    }
}

/// The records that count, best first. None left: the service is decidedly not offered.
#[must_use]
pub fn best(services: impl IntoIterator<Item = SrvRecord>) -> Vec<SrvRecord> {
    let mut services: Vec<SrvRecord> = services
        .into_iter()
        .filter(|service| service.port > 0 && !matches!(service.host.as_str(), "" | "."))
        .collect();
    services.sort_unstable_by(SrvRecord::order);
    services.dedup();
    services.truncate(ADDRESSES_MAX);
    services
}

/// One address that a name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Address and port.
    pub address: SocketAddr,
    /// How many better SRV priorities the name has.
    pub step: u16,
    /// Of SRV; `None`: that of the target.
    pub weight: Option<u16>,
}

/// Addresses without SRV: all alike.
#[must_use]
pub fn plain(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<Located> {
    let mut addresses: Vec<SocketAddr> = addresses.into_iter().take(ADDRESSES_MAX).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let located = |address| Located {
        address,
        step: 0,
        weight: None,
    };
    addresses.into_iter().map(located).collect()
}

/// The addresses of SRV records as [`best`] gives them, best first. A host with several addresses
/// has its weight once, not for each. SRV's weight 0, "nearly nothing", is our smallest.
#[must_use]
pub fn located(services: &[(SrvRecord, Vec<IpAddr>)]) -> Vec<Located> {
    let mut found: Vec<Located> = Vec::new();
    let (mut step, mut last) = (0_u16, None);
    for (service, addresses) in services.iter().filter(|(_, known)| !known.is_empty()) {
        if last.is_some_and(|last| last != service.priority) {
            step = step.saturating_add(1);
        }
        last = Some(service.priority);
        let mut addresses = addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        let count = u16::try_from(addresses.len()).unwrap_or(u16::MAX).max(1);
        let weight = service.weight.checked_div(count).unwrap_or(1).max(1);
        for address in addresses {
            let address = SocketAddr::new(address, service.port);
            if found.iter().all(|earlier| earlier.address != address) {
                found.push(Located {
                    address,
                    step,
                    weight: Some(weight),
                });
            }
        }
    }
    found.truncate(ADDRESSES_MAX);
    found
}

/// One address with the target that it came from.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The target's own priority.
    pub priority: u16,
    /// The target's own weight.
    pub weight: u16,
    /// Where.
    pub located: Located,
}

/// The targets of one trunk, in the order given. SRV priorities are steps within the target's own:
/// the first keeps its number, each further one takes the next, and whatever comes behind makes
/// room only if it must.
#[must_use]
pub fn targets(found: &[Found]) -> Vec<TrunkTarget> {
    let mut numbers: BTreeMap<(u16, u16), u16> = found
        .iter()
        .map(|one| ((one.priority, one.located.step), one.priority))
        .collect();
    let mut least = 0;
    for number in numbers.values_mut() {
        *number = least.max(*number);
        least = number.saturating_add(1);
    }
    found
        .iter()
        .map(|one| TrunkTarget {
            address: one.located.address,
            priority: numbers
                .get(&(one.priority, one.located.step))
                .copied()
                .unwrap_or(one.priority),
            weight: one.located.weight.unwrap_or(one.weight),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, port: u16, host: &str) -> SrvRecord {
        SrvRecord {
            priority,
            weight,
            port,
            host: host.to_owned(),
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn shown(targets: &[TrunkTarget]) -> Vec<(String, u16, u16)> {
        let show = |target: &TrunkTarget| {
            let address = target.address.to_string();
            (address, target.priority, target.weight)
        };
        targets.iter().map(show).collect()
    }

    #[test]
    fn a_target_is_host_and_port_or_a_name_with_a_dot() {
        for good in [
            "192.0.2.1:5060",
            "[2001:db8::1]:5060",
            "localhost:5060",
            "sip.example.com:5060",
            "sip.example.com",
            "sip.example.com.",
        ] {
            assert!(is_target(good), "{good}");
        }
        for bad in [
            "",
            "nowhere",
            "nowhere.",
            "192.0.2.1",
            "[2001:db8::1]",
            "2001:db8::1",
            "sip.example.com:",
            "sip.example.com:0",
            "sip..example.com",
            "sip.example.com:5060:1",
        ] {
            assert!(!is_target(bad), "{bad}");
        }
    }

    #[test]
    fn only_a_name_without_a_port_asks_for_a_service_and_an_address_asks_nothing() {
        let of = |text| Question::of(text, Transport::Tcp);
        assert_eq!(of("192.0.2.1:5060"), None);
        let host = Question::Host("sip.example.com:5061".to_owned());
        assert_eq!(of("sip.example.com:5061"), Some(host));
        let service = Question::Service {
            name: "sip.example.com".to_owned(),
            protocol: "_tcp",
        };
        assert_eq!(of("sip.example.com."), Some(service));
    }

    #[test]
    fn records_come_by_priority_then_weight_and_are_bounded() {
        let records = [
            service(20, 5, 5062, "c."),
            service(10, 1, 5060, "b."),
            service(10, 9, 5061, "a."),
            service(10, 9, 5061, "a."),
            service(1, 1, 0, "no-port."),
        ];
        let hosts: Vec<String> = best(records).into_iter().map(|one| one.host).collect();
        assert_eq!(hosts, ["a.", "b.", "c."]);
        let many = (1..=99).map(|port| service(1, 1, port, "a."));
        assert_eq!(best(many).len(), ADDRESSES_MAX);
    }

    #[test]
    fn the_root_as_host_says_that_there_is_no_such_service() {
        assert_eq!(best([service(0, 0, 5060, ".")]), []);
    }

    #[test]
    fn addresses_take_port_step_and_their_share_of_the_weight() {
        let services = [
            (
                service(10, 60, 5061, "a."),
                vec![address("192.0.2.2"), address("192.0.2.1")],
            ),
            (service(10, 0, 5062, "b."), vec![address("192.0.2.3")]),
            (service(15, 7, 5060, "gone."), Vec::new()),
            (service(20, 1, 5060, "c."), vec![address("2001:db8::1")]),
        ];
        let shown: Vec<_> = located(&services)
            .into_iter()
            .map(|one| (one.address.to_string(), one.step, one.weight))
            .collect();
        let expected = [
            ("192.0.2.1:5061", 0, Some(30)),
            ("192.0.2.2:5061", 0, Some(30)),
            ("192.0.2.3:5062", 0, Some(1)),
            ("[2001:db8::1]:5060", 1, Some(1)),
        ];
        assert_eq!(shown, expected.map(|(a, b, c)| (a.to_owned(), b, c)));
    }

    #[test]
    fn steps_stay_before_the_next_target_and_move_it_only_if_they_must() {
        let found = |priority, text: &str, step, weight| Found {
            priority,
            weight: 3,
            located: Located {
                address: text.parse().unwrap(),
                step,
                weight,
            },
        };
        let own = |one: &TrunkTarget| one.priority;
        let wide = [
            found(10, "192.0.2.1:1", 0, Some(5)),
            found(10, "192.0.2.2:1", 1, Some(6)),
            found(20, "192.0.2.3:1", 0, None),
        ];
        let expected = [
            ("192.0.2.1:1".to_owned(), 10, 5),
            ("192.0.2.2:1".to_owned(), 11, 6),
            ("192.0.2.3:1".to_owned(), 20, 3),
        ];
        assert_eq!(shown(&targets(&wide)), expected);
        let narrow = [
            found(11, "192.0.2.3:1", 0, None),
            found(10, "192.0.2.1:1", 0, Some(5)),
            found(10, "192.0.2.2:1", 1, Some(6)),
            found(10, "192.0.2.4:1", 0, None),
        ];
        let numbers: Vec<u16> = targets(&narrow).iter().map(own).collect();
        assert_eq!(numbers, [12, 10, 11, 10]);
    }
}
