//! Relays of guests: who may call can have them send to every UDP port of this machine, and nobody is to be
//! heard there as somebody else.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::Finding;
use crate::config::Config;
use crate::sources::model::Source;

/// `sources`: whose packets are answered, and with them the addresses of trunks.
pub(super) fn examine(config: &Config, sources: &[Source]) -> Vec<Finding> {
    let relays = config.browser.turn.iter();
    // One relay is named for each way to it.
    let relays: BTreeSet<IpAddr> = relays.filter_map(|url| address_of(url)).collect();
    relays
        .into_iter()
        .flat_map(|relay| [own(config, relay), known(sources, relay)])
        .flatten()
        .collect()
}

/// What a relay on this machine sends comes from an address of ours, and no firewall before us sees it.
fn own(config: &Config, relay: IpAddr) -> Option<Finding> {
    let listeners = [
        &config.sip.listen,
        &config.http.listen,
        &config.https.listen,
    ];
    let listeners = listeners.into_iter().flatten().map(SocketAddr::ip);
    let mut ours = listeners.chain(config.media.addresses.iter().copied());
    ours.any(|address| address.to_canonical() == relay)
        .then(|| {
            let found = format!("{relay} is an address of this node");
            Finding::warning(CHECK, found, ADVICE)
        })
}

fn known(sources: &[Source], relay: IpAddr) -> Option<Finding> {
    let has = |source: &&Source| source.networks.iter().any(|it| it.contains(relay));
    let source = sources.iter().find(has)?;
    let found = format!("{relay} is heard as source {}", source.name);
    Some(Finding::warning(CHECK, found, ADVICE))
}

/// The address of `turn:192.0.2.9:3478?transport=udp`. `None`: it is a name.
fn address_of(url: &str) -> Option<IpAddr> {
    let (_scheme, rest) = url.split_once(':')?;
    let host = rest.split('?').next()?;
    let with_port = || host.parse().map(|place: SocketAddr| place.ip());
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = bare.unwrap_or(host).parse().or_else(|_other| with_port());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

const CHECK: &str = "browser.turn";
const ADVICE: &str = "whoever may call can have it send to our SIP port, and is then heard as that: give it an \
                      address in no source and no trunk, and let our firewall pass from it only UDP to \
                      media.browser_port";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Grade;
    use super::*;
    use crate::storage::Store;

    #[tokio::test]
    async fn a_relay_that_would_be_heard_as_a_source_a_trunk_or_this_node_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::of_test(folder.path()).await;
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "secret-of-the-relay").unwrap();
        let config = |turn: &str| {
            let text = format!(
                "[sip]\nlisten = [\"192.0.2.10:5060\"]\n[media]\naddresses = [\"192.0.2.11\"]\n\
                 [browser]\nturn = [{turn}]\nturn_secret_file = \"{}\"\n\
                 [[source]]\nname = \"office\"\nnetworks = [\"10.1.0.0/16\", \"2001:db8::/32\"]\n\
                 [[trunk]]\nlabel = \"cucm\"\ntargets = [\"192.0.2.20:5060\"]",
                secret.display()
            );
            Config::parse(Path::new("test.toml"), &text).unwrap()
        };
        let first = config("\"turn:turn.example.com\"");
        first.import_first(&store).await.unwrap();
        let sources = store.snapshot().sources.clone();
        let told = |turn: &str| {
            let findings = examine(&config(turn), &sources);
            let is_warning = |it: &Finding| (it.check, it.grade) == (CHECK, Grade::Warning);
            assert!(findings.iter().all(is_warning), "{findings:?}");
            assert!(
                findings.iter().all(|it| it.advice.contains("firewall")),
                "{findings:?}"
            );
            let found = findings.into_iter().map(|it| it.found);
            found.collect::<Vec<_>>()
        };
        for apart in [
            "\"turn:turn.example.com:3478\"",
            "\"turn:198.51.100.30:3478?transport=udp\", \"turns:198.51.100.30:443?transport=tcp\"",
            "\"turn:10.2.0.1\", \"turns:[2001:db9::1]:443\"",
        ] {
            assert_eq!(told(apart), [""; 0], "{apart}");
        }
        for (turn, found) in [
            ("turn:10.1.2.3", "10.1.2.3 is heard as source office"),
            (
                "turn:[2001:db8::1]",
                "2001:db8::1 is heard as source office",
            ),
            (
                "turns:[2001:db8::1]:443?transport=tcp",
                "2001:db8::1 is heard as source office",
            ),
            (
                "turn:192.0.2.20:3478",
                "192.0.2.20 is heard as source trunk cucm",
            ),
            (
                "turn:192.0.2.10:3478?transport=tcp",
                "192.0.2.10 is an address of this node",
            ),
            ("turns:192.0.2.11", "192.0.2.11 is an address of this node"),
        ] {
            let twice = format!("\"{turn}\", \"{turn}\"");
            assert_eq!(told(&twice), [found], "one relay is told once");
        }
    }
}
