//! Who is heard: the source policy of a packet's address, looked up before any parsing. Pure.
//!
//! A packet of an unknown source gets silence. A trunk's addresses are a source with the links that
//! the trunk lists.

use std::net::{IpAddr, SocketAddr};

use sip::event::Flow;

use super::model::{LinkAccess, Source};
use crate::links::resolve::ResolvedLink;
use crate::trunks::model::{Transport, Trunk};

/// Whose packet it is.
#[derive(Debug, Clone, Copy)]
pub enum Admitted<'a> {
    /// A trunk's.
    Trunk(&'a Trunk),
    /// A configured source's.
    Source(&'a Source),
}

/// Why a known source may not place this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The trunk may not send us calls.
    Direction,
    /// The link is not among those it may reach; told like a link that does not exist.
    Link,
    /// It may not dial what no link names.
    AdHoc,
}

impl NotAdmitted {
    /// Stable word for the CDR and the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direction => "source_direction",
            Self::Link => "source_link",
            Self::AdHoc => "source_ad_hoc",
        }
    }

    /// SIP status towards the caller. What a source may not reach does not exist for it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Direction => 403,
            Self::Link | Self::AdHoc => 404,
        }
    }
}

/// The policy for packets from `remote`. A trunk's own addresses come before networks that may
/// contain them. Of two trunks at one address the one at this very port: what one peer may reach is
/// not what its neighbour may.
#[must_use]
pub fn admit<'a>(
    trunks: &'a [Trunk],
    sources: &'a [Source],
    remote: SocketAddr,
) -> Option<Admitted<'a>> {
    let enabled = || trunks.iter().filter(|trunk| trunk.enabled);
    let trunk = enabled()
        .find(|trunk| trunk.has_target(remote))
        .or_else(|| enabled().find(|trunk| trunk.owns_source(remote)));
    let source = || {
        sources.iter().find(|source| {
            source
                .networks
                .iter()
                .any(|network| network.contains(remote.ip()))
        })
    };
    trunk
        .map(Admitted::Trunk)
        .or_else(|| source().map(Admitted::Source))
}

/// The same for a message that came by `flow`. Of two trunks at one address, the port and the transport
/// of ours that they reach tell which: Cisco tells two trunks of one peer apart so, and a peer's own port
/// says nothing over TCP.
#[must_use]
pub fn admit_flow<'a>(
    trunks: &'a [Trunk],
    sources: &'a [Source],
    flow: Flow,
) -> Option<Admitted<'a>> {
    let is_mine = |trunk: &&Trunk| {
        let by_this_transport = match flow.transport {
            sip::event::Transport::Udp => trunk.transport == Transport::Udp,
            sip::event::Transport::Tcp => trunk.transport == Transport::Tcp,
        };
        by_this_transport && trunk.local_port == Some(flow.local.port())
    };
    let mine = || trunks.iter().filter(|trunk| trunk.enabled).filter(is_mine);
    let own = mine()
        .find(|trunk| trunk.has_target(flow.remote))
        .or_else(|| mine().find(|trunk| trunk.owns_source(flow.remote)));
    own.map(Admitted::Trunk)
        .or_else(|| admit(trunks, sources, flow.remote))
}

impl<'a> Admitted<'a> {
    /// For logs and CDRs.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Trunk(trunk) => &trunk.id,
            Self::Source(source) => &source.name,
        }
    }

    /// The trunk, where it is one.
    #[must_use]
    pub const fn trunk(self) -> Option<&'a Trunk> {
        match self {
            Self::Trunk(trunk) => Some(trunk),
            Self::Source(_) => None,
        }
    }

    /// Whether it may call what `link` resolved to, from `address`.
    ///
    /// # Errors
    /// [`NotAdmitted`] with the rule that forbids it.
    pub fn may_reach(self, link: &ResolvedLink, address: IpAddr) -> Result<(), NotAdmitted> {
        let listed = |paths: &[String]| paths.contains(&link.request_path);
        match self {
            Self::Trunk(trunk) if !trunk.carries_originating => Err(NotAdmitted::Direction),
            Self::Trunk(_) if link.link.is_none() => Err(NotAdmitted::AdHoc),
            Self::Trunk(trunk) if listed(&trunk.links) => Ok(()),
            Self::Trunk(_) => Err(NotAdmitted::Link),
            // Over UDP an address proves nothing: without digest only loopback is believed.
            Self::Source(source) if link.link.is_none() => {
                if source.ad_hoc && address.to_canonical().is_loopback() {
                    Ok(())
                } else {
                    Err(NotAdmitted::AdHoc)
                }
            }
            Self::Source(source) => match &source.links {
                LinkAccess::All => Ok(()),
                LinkAccess::Listed(paths) if listed(paths) => Ok(()),
                LinkAccess::Listed(_) | LinkAccess::None => Err(NotAdmitted::Link),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::model::{Destination, VideoPolicy};
    use crate::trunks::model::Network;
    use crate::trunks::model::tests::trunk;

    fn source(name: &str, network: &str, links: LinkAccess, ad_hoc: bool) -> Source {
        let (address, length) = network.split_once('/').unwrap();
        let networks = vec![Network {
            address: address.parse().unwrap(),
            prefix_length: length.parse().unwrap(),
        }];
        Source {
            name: name.into(),
            networks,
            links,
            ad_hoc,
            registers: false,
            srtp: crate::trunks::model::SrtpPolicy::Off,
        }
    }

    fn resolved(path: &str, link: Option<i64>) -> ResolvedLink {
        ResolvedLink {
            link,
            request_path: path.into(),
            destination: Destination::Echo,
            caller_name: "Guest".into(),
            caller_alias: "guest".into(),
            unique_alias: false,
            unique_alias_separator: '.',
            trunk: None,
            display_name: String::new(),
            auto_call_after_s: None,
            video_policy: VideoPolicy::SendRecv,
            allow_custom_caller_name: false,
            named_by_guest: false,
            named_by_link: link.is_some(),
            valid_after: None,
            valid_before: None,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn unknown_address_is_nobody_and_a_trunk_comes_before_a_network_around_it() {
        let trunks = [trunk("tr_1", "10.0.0.1:5060")];
        let sources = [source("office", "10.0.0.0/8", LinkAccess::All, false)];
        let admitted = |text| {
            admit(&trunks, &sources, SocketAddr::new(address(text), 5062)).map(Admitted::name)
        };
        assert_eq!(admitted("10.0.0.1"), Some("tr_1"));
        assert_eq!(admitted("10.0.0.2"), Some("office"));
        assert_eq!(admitted("192.0.2.1"), None);
    }

    #[test]
    fn on_this_machine_the_port_tells_a_trunk_from_a_phone() {
        let trunks = [trunk("tr_1", "127.0.0.1:5070")];
        let sources = [source("here", "127.0.0.0/8", LinkAccess::All, false)];
        let admitted =
            |text: &str| admit(&trunks, &sources, text.parse().unwrap()).map(Admitted::name);
        assert_eq!(admitted("127.0.0.1:5070"), Some("tr_1"));
        assert_eq!(admitted("127.0.0.1:5061"), Some("here"));
    }

    #[test]
    fn of_two_trunks_at_one_address_the_port_tells_which() {
        let trunks = [
            trunk("tr_1", "192.0.2.1:5060"),
            trunk("tr_2", "192.0.2.1:5070"),
        ];
        let admitted = |text: &str| admit(&trunks, &[], text.parse().unwrap()).map(Admitted::name);
        assert_eq!(admitted("192.0.2.1:5060"), Some("tr_1"));
        assert_eq!(admitted("192.0.2.1:5070"), Some("tr_2"));
        assert_eq!(
            admitted("192.0.2.1:9999"),
            Some("tr_1"),
            "the address counts"
        );
    }

    #[test]
    fn trunk_that_is_off_is_no_source() {
        let mut off = trunk("tr_1", "10.0.0.1:5060");
        off.enabled = false;
        assert!(admit(&[off], &[], "10.0.0.1:5060".parse().unwrap()).is_none());
    }

    #[test]
    fn link_policies_of_a_source() {
        let anywhere = address("10.0.0.2");
        let reach = |links, path| {
            let source = source("s", "10.0.0.0/8", links, false);
            Admitted::Source(&source).may_reach(&resolved(path, Some(1)), anywhere)
        };
        assert_eq!(reach(LinkAccess::All, "a"), Ok(()));
        assert_eq!(reach(LinkAccess::Listed(vec!["a".into()]), "a"), Ok(()));
        assert_eq!(
            reach(LinkAccess::Listed(vec!["a".into()]), "b"),
            Err(NotAdmitted::Link)
        );
        assert_eq!(reach(LinkAccess::None, "a"), Err(NotAdmitted::Link));
    }

    #[test]
    fn ad_hoc_needs_the_policy_and_loopback() {
        let policy = source("s", "0.0.0.0/0", LinkAccess::All, true);
        let reach =
            |from| Admitted::Source(&policy).may_reach(&resolved("610", None), address(from));
        assert_eq!(reach("127.0.0.1"), Ok(()));
        assert_eq!(reach("10.0.0.2"), Err(NotAdmitted::AdHoc));
        let without = source("s", "0.0.0.0/0", LinkAccess::All, false);
        let refused =
            Admitted::Source(&without).may_reach(&resolved("610", None), address("127.0.0.1"));
        assert_eq!(refused, Err(NotAdmitted::AdHoc));
    }

    #[test]
    fn trunk_reaches_its_listed_links_in_the_allowed_direction_only() {
        let mut from = trunk("tr_1", "10.0.0.1:5060");
        from.links = vec!["sales".into()];
        let reach = |trunk: &Trunk, path, link| {
            Admitted::Trunk(trunk).may_reach(&resolved(path, link), address("10.0.0.1"))
        };
        assert_eq!(reach(&from, "sales", Some(1)), Err(NotAdmitted::Direction));
        from.carries_originating = true;
        assert_eq!(reach(&from, "sales", Some(1)), Ok(()));
        assert_eq!(reach(&from, "other", Some(1)), Err(NotAdmitted::Link));
        assert_eq!(reach(&from, "sales", None), Err(NotAdmitted::AdHoc));
    }

    /// Cisco recommends to run a trunk on every call-processing node, up to 16 of them.
    #[test]
    fn sixteen_nodes_of_a_call_manager_are_one_trunk_from_any_port() {
        let mut trunk = trunk("tr_1", "10.0.0.1:5060");
        trunk.networks = (2..=16)
            .map(|last| format!("10.0.0.{last}").parse().unwrap())
            .collect();
        let trunks = [trunk];
        for last in 1..=16_u16 {
            let from = format!("10.0.0.{last}:{}", 25_000 + last).parse().unwrap();
            assert_eq!(admit(&trunks, &[], from).map(Admitted::name), Some("tr_1"));
        }
        assert!(admit(&trunks, &[], "10.0.0.17:5060".parse().unwrap()).is_none());
    }
}
