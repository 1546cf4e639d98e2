//! A node and a small authority that checks what RFC 8555 has it check: signatures, nonces, and each proof
//! where it must stand.

mod authority;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpListener;
use tokio_rustls::rustls;

use self::authority::Authority;
use super::*;
use crate::http::tls::TlsListener;
use crate::http::tls::tests::{asked_as, handshake};
use crate::http::{HttpState, Listener, serve};
use crate::storage::Store;

const NAME: &str = "call.example.com";

struct World {
    authority: Authority,
    acme: Acme,
    certificates: Arc<Certificates>,
    challenges: Arc<Challenges>,
    /// Where the node is met, plain and by TLS.
    plain: std::net::SocketAddr,
    secure: std::net::SocketAddr,
    folder: tempfile::TempDir,
}

async fn world(proof: Proof) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::of_test(folder.path()).await;
    let challenges = Arc::<Challenges>::default();
    let state = HttpState {
        challenges: Arc::clone(&challenges),
        ..HttpState::new(store)
    };
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, secure_at) = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
    let authority = Authority::start(at, secure_at, folder.path()).await;
    let acme = Acme {
        folder: folder.path().join("acme"),
        domains: vec![NAME.to_owned()],
        contact: Some("mailto:admin@example.com".to_owned()),
        directory: authority.directory(),
        roots: authority.roots(),
        proof,
    };
    let names = ["localhost".to_owned()];
    let certificates = Certificates::awaited(acme.files(), folder.path(), &names).unwrap();
    let certificates = Arc::new(certificates.with_challenges(Arc::clone(&challenges)));
    let secure = TlsListener::new(secure, &certificates, 365).unwrap();
    tokio::spawn(serve(
        Listener::Tcp(plain),
        state.clone(),
        std::future::pending(),
    ));
    tokio::spawn(serve(Listener::Tls(secure), state, std::future::pending()));
    World {
        authority,
        acme,
        certificates,
        challenges,
        plain: at,
        secure: secure_at,
        folder,
    }
}

impl World {
    async fn ask(&self) -> Result<(), AcmeError> {
        ask(&self.acme, &self.certificates, &self.challenges).await
    }

    /// Whether who believes this root in PEM is told to come by HTTPS only.
    async fn is_strict(&self, root: &[u8], name: &str) -> bool {
        let root = CertificateDer::from_pem_slice(root).unwrap();
        let asked = asked_as(self.secure, &root, b"http/1.1", name).await;
        let answer = asked.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        answer.contains("strict-transport-security: max-age=31536000")
    }
}

#[tokio::test]
async fn a_node_without_a_certificate_gets_one_by_either_proof_and_shows_it() {
    for proof in [Proof::Http01, Proof::TlsAlpn01] {
        let world = world(proof).await;
        let now = SystemTime::now();
        assert!(is_due(&world.acme, now), "there is none");
        assert!(world.certificates.is_self_signed());
        assert_eq!(
            world.certificates.look().ok(),
            Some(false),
            "none is no fault"
        );
        let own = fs::read(world.folder.path().join("self-signed.pem")).unwrap();
        assert!(
            !world.is_strict(&own, "localhost").await,
            "nobody relies on our own"
        );
        world.ask().await.unwrap();
        assert_eq!(world.authority.seen(), [proof.as_str()]);
        let roots = fs::read(world.acme.roots.clone()).unwrap();
        assert!(world.is_strict(&roots, NAME).await, "without a restart");
        let shown = handshake(world.secure, &roots, NAME).await;
        assert!(shown.is_ok(), "believed by the authority's root: {shown:?}");
        assert!(!is_due(&world.acme, now));
        let (day, files) = (Duration::from_secs(24 * 3600), world.acme.files());
        assert!(!is_due(&world.acme, now + 59 * day));
        assert!(
            is_due(&world.acme, now + 61 * day),
            "two thirds of ninety days"
        );
        for kept in [files.key, files.certificate, world.acme.account_file()] {
            let mode = fs::metadata(&kept).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", kept.display());
        }
        world.ask().await.unwrap();
        assert_eq!(world.authority.accounts(), 1, "the account is kept");
        let mut renamed = world.acme.clone();
        renamed.domains.push("other.example.com".to_owned());
        assert!(
            is_due(&renamed, now),
            "another name wants another certificate"
        );
    }
}

/// First an authority to try things out at, then the one that browsers believe.
#[tokio::test]
async fn another_authority_is_asked_at_once_and_by_an_account_of_its_own() {
    let mut world = world(Proof::Http01).await;
    world.ask().await.unwrap();
    let now = SystemTime::now();
    assert!(!is_due(&world.acme, now));
    let beside = world.folder.path().join("other");
    fs::create_dir(&beside).unwrap();
    let other = Authority::start(world.plain, world.secure, &beside).await;
    let first = world.acme.clone();
    world.acme.directory = other.directory();
    world.acme.roots = other.roots();
    assert!(is_due(&world.acme, now), "that authority has given none");
    world.ask().await.unwrap();
    let accounts = (world.authority.accounts(), other.accounts());
    assert_eq!(accounts, (1, 1), "each has one");
    assert_eq!(world.authority.seen().len(), 1, "it was not asked again");
    let roots = fs::read(other.roots()).unwrap();
    handshake(world.secure, &roots, NAME).await.unwrap();
    assert!(!is_due(&world.acme, now));
    assert!(is_due(&first, now), "and the way back");
    world.acme = first;
    world.ask().await.unwrap();
    let accounts = (world.authority.accounts(), other.accounts());
    assert_eq!(accounts, (1, 1), "the account of before is used");
    let roots = fs::read(&world.acme.roots).unwrap();
    handshake(world.secure, &roots, NAME).await.unwrap();
}

#[tokio::test]
async fn an_authority_that_has_forgotten_the_account_gets_another_one() {
    let world = world(Proof::Http01).await;
    world.ask().await.unwrap();
    world.authority.forget();
    world.ask().await.unwrap();
    assert_eq!(world.authority.accounts(), 1);
}

#[tokio::test]
async fn a_proof_that_the_authority_cannot_see_gives_nothing_and_leaves_nothing() {
    let world = world(Proof::Http01).await;
    world.authority.look_at("127.0.0.1:9".parse().unwrap());
    let refused = world.ask().await;
    assert!(
        matches!(refused, Err(AcmeError::NotAuthorized)),
        "{refused:?}"
    );
    assert!(!world.acme.files().certificate.exists());
    let roots = fs::read(world.acme.roots.clone()).unwrap();
    assert!(handshake(world.secure, &roots, NAME).await.is_err());
    assert!(world.challenges.certificate(NAME).is_none());
    let path = "/.well-known/acme-challenge/token";
    world.challenges.show_word("token", "word");
    let asked = authority::fetch(world.plain, path).await;
    assert!(asked.ends_with("\r\n\r\nword"), "{asked}");
    world.challenges.clear();
    let asked = authority::fetch(world.plain, path).await;
    assert!(asked.starts_with("HTTP/1.1 404"), "{asked}");
}

#[tokio::test]
async fn an_authority_that_nothing_proves_is_not_asked() {
    let world = world(Proof::Http01).await;
    let other = rcgen::KeyPair::generate().unwrap();
    let stranger = rcgen::CertificateParams::new(["other".to_owned()]).unwrap();
    let stranger = stranger.self_signed(&other).unwrap();
    let mut acme = world.acme.clone();
    acme.roots = world.folder.path().join("other.pem");
    fs::write(&acme.roots, stranger.pem()).unwrap();
    let asked = ask(&acme, &world.certificates, &world.challenges).await;
    assert!(matches!(asked, Err(AcmeError::Authority(_))), "{asked:?}");
    assert_eq!(world.authority.accounts(), 0);
    acme.roots = world.folder.path().join("none.pem");
    let asked = ask(&acme, &world.certificates, &world.challenges).await;
    assert!(matches!(asked, Err(AcmeError::Roots { .. })), "{asked:?}");
}

#[tokio::test]
async fn a_chain_that_cannot_be_read_is_asked_for_again() {
    let world = world(Proof::Http01).await;
    world.ask().await.unwrap();
    let now = SystemTime::now();
    assert!(!is_due(&world.acme, now));
    fs::write(world.acme.files().certificate, b"").unwrap();
    assert!(is_due(&world.acme, now));
}

/// Let's Encrypt takes five failed proofs of a name an hour.
#[test]
fn tries_that_fail_leave_one_to_the_operator_in_every_hour() {
    let mut pauses = Pauses::default();
    let mut tries = vec![Duration::ZERO];
    while tries.len() < 20 {
        let last = *tries.last().unwrap();
        tries.push(last + pauses.after_failure());
    }
    let hour = Duration::from_secs(3600);
    for first in &tries {
        let within = |at: &&Duration| *at >= first && **at <= *first + hour;
        let count = tries.iter().filter(within).count();
        assert!((1..=4).contains(&count), "{count} from {first:?}");
    }
    assert_eq!(pauses.after_failure(), 6 * hour, "and for ever so");
}
