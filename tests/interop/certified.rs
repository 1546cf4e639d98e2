//! A node that asks an authority for its certificate, as a whole: listeners, files, the loop that asks, and
//! what is counted of it.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;

use self::authority::Authority;
use crate::gateway::{Gateway, HTTP, at_once, link, write_config};
use crate::operation::metric;
use crate::world::{World, until};

#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "tests of the parts ask it more, and it ends a test as they do"
)]
#[path = "../../src/http/tls/acme/tests/authority.rs"]
mod authority;

const HTTPS: &str = "127.0.0.1:8443";
const NAME: &str = "call.example.com";
/// Orders are looked at again after growing pauses.
const PATIENCE: Duration = Duration::from_secs(30);

/// An authority in the network of this test's thread, and a node that asks it.
struct Asking {
    gateway: Gateway,
    authority: Authority,
    _runtime: Runtime,
    world: World,
}

impl Asking {
    /// `http`: where the authority looks for words. `None`: something is not installed, and that has been said.
    fn start(proof: &str, http: &str) -> Option<Self> {
        let world = World::open(&["ip", "curl"])?;
        // Its threads are made by this one, and so are in its network.
        let runtime = Runtime::new().expect("a runtime");
        let at = |address: &str| address.parse().expect("an address");
        let folder = world.file("");
        let authority = Authority::start(at(http), at(HTTPS), &folder);
        let authority = runtime.block_on(authority);
        let tables = format!(
            "[https]\nlisten = [\"{HTTPS}\"]\nacme_domains = [\"{NAME}\"]\nacme_proof = \"{proof}\"\n\
             acme_contact = \"mailto:admin@example.com\"\n\
             acme_directory = \"{}\"\nacme_roots = \"{}\"\n\n{}",
            authority.directory(),
            authority.roots().display(),
            link("echo", "local:echo"),
        );
        let gateway = Gateway::start_with(&world, write_config(&world, "", &tables));
        Some(Self {
            gateway,
            authority,
            _runtime: runtime,
            world,
        })
    }

    /// Asked under its name by who believes the authority and nobody else.
    fn is_believed(&self) -> bool {
        self.ask().stdout == b"ok\n"
    }

    fn ask(&self) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "10", "--resolve"]);
        curl.arg(format!("{NAME}:8443:127.0.0.1"));
        curl.arg("--cacert").arg(self.authority.roots());
        curl.arg(format!("https://{NAME}:8443/healthz"));
        curl.output().expect("curl")
    }
}

/// Each listener shows the proofs of the one who asks.
#[test]
fn a_node_shows_the_certificate_of_an_authority_without_a_restart() {
    at_once(["http-01", "tls-alpn-01"], |proof| {
        let Some(node) = Asking::start(proof, HTTP) else {
            return;
        };
        until(&format!("a certificate by {proof}"), PATIENCE, || {
            let failed = metric("sluice_acme_orders_failed_total");
            assert_eq!(failed, Some(0), "{}", node.gateway.process.said());
            node.is_believed()
        });
        assert_eq!(node.authority.seen(), [proof]);
        let files = ["key.pem", "certificate.pem"];
        let kept = files.map(|file| node.world.file(&format!("data/acme/{file}")));
        assert!(kept.iter().all(|file| file.exists()), "{kept:?}");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let days = |days: u64| now.as_ref().expect("a clock").as_secs() + days * 24 * 3600;
        let end = metric("sluice_https_certificate_end_seconds");
        assert!(end > Some(days(89)) && end <= Some(days(90)), "{end:?}");
        assert_eq!(metric("sluice_acme_orders_failed_total"), Some(0));
    });
}

#[test]
fn an_authority_that_sees_no_proof_is_counted_and_asked_again_later() {
    let Some(node) = Asking::start("http-01", "127.0.0.1:9") else {
        return;
    };
    let failed = "sluice_acme_orders_failed_total";
    until(failed, PATIENCE, || metric(failed) == Some(1));
    assert!(!node.is_believed());
    let own = fs::read(node.world.file("data/self-signed.pem"));
    assert!(own.is_ok(), "what is shown meanwhile");
    let said = node.gateway.process.said();
    assert!(said.contains("retry_s=300"), "{said}");
}
