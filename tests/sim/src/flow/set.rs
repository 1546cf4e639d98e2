//! What stands on the stage before a flow begins: phones, trunks, links, sources.
//!
//! Owns the lines that begin with `given`, and what the others say of who takes part.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use sluice::call::snapshot::Snapshot;
use sluice::links::model::Destination;
use sluice::links::resolve::{ResolveRefusal, ResolvedLink};
use sluice::sources::model::{LinkAccess, Source};
use sluice::trunks::model::{
    IdentityProfile, Network as IpNetwork, OfferMode, RefreshBy, ReliableProvisional, SrtpPolicy,
    Transport, Trunk,
};

use super::words::payloads;
use super::{Attributes, Line, Script};
use crate::peer::session::{PCMA, PCMU};
use crate::store::{Store, link};
use crate::swarm::trunk;

/// What the lines of a flow say about the world before it begins.
#[derive(Debug)]
pub(super) struct Set {
    /// The links.
    pub(super) store: Store,
    /// Trunks, sources, rules.
    pub(super) snapshot: Snapshot,
    /// Names, addresses, and whether the gateway must not hear them.
    pub(super) nodes: Vec<(String, SocketAddr, bool)>,
    /// Names of those that speak TCP.
    pub(super) by_tcp: Vec<String>,
    /// The link that is called where a line does not say.
    pub(super) target: String,
    /// Links whose caller hears itself.
    pub(super) echoes: Vec<String>,
    /// What phones want of keys.
    pub(super) phones_srtp: SrtpPolicy,
}

impl Set {
    /// All that the lines of this flow name.
    pub(super) fn of(script: &Script, store: Store) -> Self {
        let mut set = Self {
            store,
            snapshot: Snapshot::default(),
            nodes: Vec::new(),
            by_tcp: Vec::new(),
            target: String::new(),
            echoes: Vec::new(),
            phones_srtp: SrtpPolicy::Off,
        };
        for (_, line) in &script.lines {
            set.prepare(line);
        }
        set.complete();
        set
    }

    fn prepare(&mut self, line: &Line) {
        match line {
            Line::Given { what, name, rest } => match what.as_str() {
                "link" => {
                    if self.target.is_empty() {
                        name.clone_into(&mut self.target);
                    }
                    if rest.has("local:echo") {
                        self.echoes.push(name.clone());
                    }
                    if rest.has("silent") {
                        self.store.ignore(name);
                    }
                    self.store.add(name, resolved(name, rest));
                }
                "trunk" => {
                    add_trunk(&mut self.snapshot, &mut self.nodes, name, rest);
                    if rest.has("tcp") {
                        self.by_tcp.push(name.clone());
                    }
                }
                "phone" => {
                    self.add_phone(name);
                    if rest.has("tcp") {
                        self.by_tcp.push(name.clone());
                    }
                }
                "silence" => self.snapshot.settings.media_timeout = Duration::ZERO,
                "keys" => {
                    self.phones_srtp = srtp(name);
                    self.snapshot.settings.srtp_over_clear_signalling = rest.has("clear");
                }
                "block" => self.snapshot.guard.block_prefixes.push(name.clone()),
                _ => {}
            },
            Line::Sends { node, .. } | Line::Speaks { node, .. } => self.add_phone(node),
            Line::Blank
            | Line::Comes { .. }
            | Line::Wait(_)
            | Line::Silence { .. }
            | Line::Expect { .. } => {}
        }
    }

    fn add_phone(&mut self, node: &str) {
        let known = self.nodes.iter().any(|(given, ..)| given == node);
        if known || node.starts_with("trunk") {
            return;
        }
        let stranger = node == "mallory";
        let last = u8::try_from(self.nodes.len() + 1).unwrap_or(0);
        let third = if stranger { 9 } else { 1 };
        let address = SocketAddr::from(([10, third, 0, last], 5060));
        self.nodes.push((node.to_owned(), address, stranger));
    }

    fn complete(&mut self) {
        if self.snapshot.trunks.is_empty() {
            add_trunk(
                &mut self.snapshot,
                &mut self.nodes,
                "trunk",
                &Attributes::default(),
            );
        }
        if self.target.is_empty() {
            "c1".clone_into(&mut self.target);
            self.store.add("c1", Ok(link("c1", remote("d1"))));
        }
        self.snapshot.sources.push(Source {
            name: "phones".to_owned(),
            networks: vec![IpNetwork {
                address: IpAddr::from([10, 1, 0, 0]),
                prefix_length: 16,
            }],
            links: LinkAccess::All,
            ad_hoc: false,
            registers: false,
            srtp: self.phones_srtp,
        });
    }
}

fn srtp(word: &str) -> SrtpPolicy {
    word.parse().unwrap_or_default()
}

/// What a phone can do is what it offers first.
pub(super) fn codecs(offer: Option<&str>) -> Vec<u8> {
    let named = offer.map(payloads).unwrap_or_default();
    if named.is_empty() {
        vec![PCMA, PCMU]
    } else {
        named
    }
}

fn remote(user: &str) -> Destination {
    let (user, domain) = user.split_once('@').unwrap_or((user, "example.net"));
    Destination::Remote {
        user: user.to_owned(),
        domain: Some(domain.to_owned()),
    }
}

fn resolved(path: &str, rest: &Attributes) -> Result<ResolvedLink, ResolveRefusal> {
    let (kind, _) = rest.iter().next().unwrap_or(("d1", ""));
    let destination = match kind {
        "gone" => return Err(ResolveRefusal::Dead),
        "unknown" => return Err(ResolveRefusal::Unknown),
        "unavailable" => return Err(ResolveRefusal::Unavailable),
        "early" => return Err(ResolveRefusal::NotYetValid(Timestamp::MAX)),
        "local:echo" => Destination::Echo,
        "local:tone" => Destination::Tone,
        user => remote(user),
    };
    let mut link = link(path, destination);
    if let Some(name) = rest.value("name") {
        name.clone_into(&mut link.caller_name);
    }
    if let Some(alias) = rest.value("alias") {
        alias.clone_into(&mut link.caller_alias);
    }
    link.unique_alias = rest.has("unique");
    link.named_by_link = !rest.has("unnamed");
    Ok(link)
}

fn add_trunk(
    snapshot: &mut Snapshot,
    nodes: &mut Vec<(String, SocketAddr, bool)>,
    name: &str,
    rest: &Attributes,
) {
    let number = snapshot.trunks.len() + 1;
    let last = u8::try_from(number).unwrap_or(0);
    let address = SocketAddr::from(([10, 2, 0, last], 5060));
    let priority = rest.value("priority").and_then(|text| text.parse().ok());
    let mut trunk = trunk(
        &number.to_string(),
        address,
        priority.unwrap_or_else(|| u16::from(last)),
    );
    shape(&mut trunk, rest);
    if rest.has("tcp") {
        trunk.transport = Transport::Tcp;
    }
    if let Some(calls) = rest.value("max_calls").and_then(|text| text.parse().ok()) {
        trunk.max_calls = calls;
    }
    snapshot.trunks.push(trunk);
    nodes.push((name.to_owned(), address, false));
}

/// `delayed`, `transit`, `calls=` (a link that it may call), `trusted`, `identity=`, `codecs=`, `expires=`, `min=`, `by=update`,
/// `100rel=`, `srtp=`.
fn shape(trunk: &mut Trunk, rest: &Attributes) {
    if rest.has("delayed") {
        trunk.offer = OfferMode::Delayed;
    }
    trunk.transit = rest.has("transit");
    if let Some(path) = rest.value("calls") {
        trunk.carries_originating = true;
        trunk.links = vec![path.to_owned()];
    }
    trunk.trusted = rest.has("trusted");
    if let Some(names) = rest.value("codecs") {
        trunk.codecs = names.split('+').map(str::to_uppercase).collect();
    }
    trunk.identity = match rest.value("identity") {
        Some("rpid") => IdentityProfile::Rpid,
        Some("both") => IdentityProfile::RpidAndPai,
        Some("none") => IdentityProfile::None,
        Some(_) | None => IdentityProfile::Pai,
    };
    trunk.session_expires = rest.duration("expires").unwrap_or_default();
    if let Some(min) = rest.duration("min") {
        trunk.session_min = min;
    }
    if rest.value("by") == Some("update") {
        trunk.refresh_by = RefreshBy::Update;
    }
    trunk.srtp = rest.value("srtp").map(srtp).unwrap_or_default();
    trunk.reliable_provisional = match rest.value("100rel") {
        Some("required") => ReliableProvisional::Required,
        Some("supported") => ReliableProvisional::Supported,
        Some(_) | None => ReliableProvisional::Off,
    };
}
