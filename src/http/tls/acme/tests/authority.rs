//! The authority: what RFC 8555 §7 and §8 want of one, for one order at a time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::Router;
use axum::extract::{Path as Part, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    SignatureAlgorithm,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};
use x509_cert::der::{Decode as _, Encode as _};

/// A running authority.
pub(super) struct Authority {
    at: SocketAddr,
    roots: PathBuf,
    state: Arc<Shared>,
}

struct Shared {
    at: SocketAddr,
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Ports 80 and 443 of the node.
    node: Option<SocketAddr>,
    secure: Option<SocketAddr>,
    nonces: BTreeSet<String>,
    nonce_last: u64,
    /// Keys of accounts.
    accounts: Vec<Value>,
    names: Vec<String>,
    order: &'static str,
    authorization: &'static str,
    /// Kinds of proofs that were seen.
    seen: Vec<&'static str>,
    chain: String,
}

const TOKEN: &str = "DGyRejmCefe7v4NfDGDKfA";

impl Authority {
    pub(super) async fn start(node: SocketAddr, secure: SocketAddr, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::<String>::new()).unwrap();
        // Not that of its certificates: one that signs itself is what has its issuer's name.
        root.distinguished_name
            .push(DnType::CommonName, "Authority");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = Issuer::new(root, root_key);
        let roots = folder.join("roots.pem");
        std::fs::write(&roots, &root_pem).unwrap();
        let own_key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&own_key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], key)
            .unwrap();
        let state = Arc::new(Shared {
            at,
            issuer,
            root_pem,
            inner: Mutex::new(Inner {
                node: Some(node),
                secure: Some(secure),
                order: "pending",
                authorization: "pending",
                ..Inner::default()
            }),
        });
        let router = Router::new()
            .route("/directory", get(directory))
            .route("/nonce", get(nonce).head(nonce))
            .route("/{what}", post(asked))
            .route("/{what}/{which}", post(asked_of))
            .with_state(Arc::clone(&state));
        tokio::spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            router,
        ));
        Self { at, roots, state }
    }

    pub(super) fn directory(&self) -> String {
        format!("https://{}/directory", self.at)
    }

    pub(super) fn roots(&self) -> PathBuf {
        self.roots.clone()
    }

    /// Proofs are looked for there.
    pub(super) fn look_at(&self, node: SocketAddr) {
        self.state.inner.lock().unwrap().node = Some(node);
    }

    pub(super) fn seen(&self) -> Vec<&'static str> {
        self.state.inner.lock().unwrap().seen.clone()
    }

    /// It has lost every account.
    pub(super) fn forget(&self) {
        self.state.inner.lock().unwrap().accounts.clear();
    }

    pub(super) fn accounts(&self) -> usize {
        self.state.inner.lock().unwrap().accounts.len()
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = TowerToHyperService::new(router);
            let served = hyper::server::conn::http1::Builder::new();
            served
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

impl Shared {
    fn url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.at)
    }

    fn fresh_nonce(&self) -> HeaderValue {
        let mut inner = self.inner.lock().unwrap();
        inner.nonce_last += 1;
        let nonce = format!("nonce{}", inner.nonce_last);
        inner.nonces.insert(nonce.clone());
        HeaderValue::from_str(&nonce).unwrap()
    }

    fn order(&self) -> Value {
        let inner = self.inner.lock().unwrap();
        let names = inner.names.iter();
        let identifiers: Vec<Value> = names
            .map(|name| json!({ "type": "dns", "value": name }))
            .collect();
        json!({
            "status": inner.order,
            "identifiers": identifiers,
            "authorizations": [self.url("authorization/1")],
            "finalize": self.url("finalize/1"),
            "certificate": self.url("certificate/1"),
        })
    }
}

async fn directory(State(state): State<Arc<Shared>>) -> Response {
    let url = |path: &str| state.url(path);
    axum::Json(json!({
        "newNonce": url("nonce"),
        "newAccount": url("account"),
        "newOrder": url("order"),
        "revokeCert": url("revoke"),
        "keyChange": url("key"),
    }))
    .into_response()
}

async fn nonce(State(state): State<Arc<Shared>>) -> Response {
    ([("replay-nonce", state.fresh_nonce())], "").into_response()
}

/// A request that is what it says it is (§6.2 to §6.5): its payload, and the key of its account.
fn read(state: &Shared, path: &str, body: &[u8]) -> Result<(Value, Value), StatusCode> {
    let bad = StatusCode::BAD_REQUEST;
    let jws: Value = serde_json::from_slice(body).or(Err(bad))?;
    let part = |name: &str| jws[name].as_str().unwrap_or_default().to_owned();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).or(Err(bad));
    let header: Value = serde_json::from_slice(&decode(&part("protected"))?).or(Err(bad))?;
    if header["alg"] != "ES256" || header["url"] != state.url(path) {
        return Err(bad);
    }
    let mut inner = state.inner.lock().unwrap();
    if !inner
        .nonces
        .remove(header["nonce"].as_str().unwrap_or_default())
    {
        return Err(bad);
    }
    let key = match header["kid"].as_str() {
        Some(account) => {
            let number = account
                .rsplit('/')
                .next()
                .and_then(|text| text.parse().ok());
            let found = number.and_then(|number: usize| inner.accounts.get(number));
            found.cloned().ok_or(StatusCode::UNAUTHORIZED)?
        }
        None => header["jwk"].clone(),
    };
    let coordinate = |name: &str| decode(key[name].as_str().unwrap_or_default());
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    let signed = format!("{}.{}", part("protected"), part("payload"));
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
        .verify(signed.as_bytes(), &decode(&part("signature"))?)
        .or(Err(bad))?;
    let payload = decode(&part("payload"))?;
    let payload = serde_json::from_slice(&payload).unwrap_or(Value::Null);
    Ok((payload, key))
}

fn answer(state: &Shared, status: StatusCode, place: Option<String>, body: &Value) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("replay-nonce", state.fresh_nonce());
    if let Some(place) = place {
        headers.insert("location", HeaderValue::from_str(&place).unwrap());
    }
    (status, headers, axum::Json(body.clone())).into_response()
}

/// As a problem (§6.7): who is not known is told so.
fn refuse(state: &Shared, status: StatusCode) -> Response {
    let what = match status {
        StatusCode::UNAUTHORIZED => "accountDoesNotExist",
        _ => "malformed",
    };
    let kind = format!("urn:ietf:params:acme:error:{what}");
    answer(state, status, None, &json!({ "type": kind }))
}

async fn asked(
    State(state): State<Arc<Shared>>,
    Part(what): Part<String>,
    body: axum::body::Bytes,
) -> Response {
    let (payload, key) = match read(&state, &what, &body) {
        Ok(read) => read,
        Err(status) => return refuse(&state, status),
    };
    match what.as_str() {
        "account" => {
            assert_eq!(payload["termsOfServiceAgreed"], true);
            assert_eq!(payload["contact"], json!(["mailto:admin@example.com"]));
            let mut inner = state.inner.lock().unwrap();
            inner.accounts.push(key);
            let place = state.url(&format!("account/{}", inner.accounts.len() - 1));
            drop(inner);
            let body = json!({ "status": "valid" });
            answer(&state, StatusCode::CREATED, Some(place), &body)
        }
        "order" => {
            let wanted = payload["identifiers"].as_array().unwrap().iter();
            let names = wanted.map(|name| name["value"].as_str().unwrap().to_owned());
            let mut inner = state.inner.lock().unwrap();
            inner.names = names.collect();
            (inner.order, inner.authorization) = ("pending", "pending");
            drop(inner);
            let (place, body) = (state.url("order/1"), state.order());
            answer(&state, StatusCode::CREATED, Some(place), &body)
        }
        _ => answer(&state, StatusCode::NOT_FOUND, None, &Value::Null),
    }
}

async fn asked_of(
    State(state): State<Arc<Shared>>,
    Part((what, which)): Part<(String, String)>,
    body: axum::body::Bytes,
) -> Response {
    let (payload, key) = match read(&state, &format!("{what}/{which}"), &body) {
        Ok(read) => read,
        Err(status) => return refuse(&state, status),
    };
    let body = match what.as_str() {
        "order" => state.order(),
        "authorization" => {
            let inner = state.inner.lock().unwrap();
            let (status, name) = (inner.authorization, inner.names.first().cloned());
            let kinds = ["http-01", "tls-alpn-01"].into_iter();
            let challenge = |kind: &str| {
                json!({
                    "type": kind, "status": status, "token": TOKEN, "url": state.url(&format!("challenge/{kind}")),
                })
            };
            let challenges: Vec<Value> = kinds.map(challenge).collect();
            json!({
                "status": status,
                "identifier": { "type": "dns", "value": name },
                "challenges": challenges,
            })
        }
        "challenge" => {
            prove(&state, &which, &key).await;
            json!({ "type": which, "status": "processing", "token": TOKEN, "url": state.url(&format!("challenge/{which}")) })
        }
        "finalize" => {
            issue(&state, payload["csr"].as_str().unwrap());
            state.order()
        }
        "certificate" => {
            let chain = state.inner.lock().unwrap().chain.clone();
            let nonce = [("replay-nonce", state.fresh_nonce())];
            return (nonce, chain).into_response();
        }
        _ => Value::Null,
    };
    answer(&state, StatusCode::OK, None, &body)
}

/// Looks for the proof where it must stand (§8.3, RFC 8737 §3).
async fn prove(state: &Shared, kind: &str, key: &Value) {
    let text = format!(
        r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
        key["x"], key["y"]
    );
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()));
    let word = format!("{TOKEN}.{thumbprint}");
    let (node, secure, name) = {
        let inner = state.inner.lock().unwrap();
        (
            inner.node.unwrap(),
            inner.secure.unwrap(),
            inner.names[0].clone(),
        )
    };
    let is_proven = match kind {
        "http-01" => {
            let path = format!("/.well-known/acme-challenge/{TOKEN}");
            fetch(node, &path)
                .await
                .ends_with(&format!("\r\n\r\n{word}"))
        }
        _ => {
            let shown = shown_for(secure, &name).await.unwrap_or_default();
            let expected = digest(&SHA256, word.as_bytes());
            let octets = [&[4, 32], expected.as_ref()].concat();
            shown.windows(octets.len()).any(|window| window == octets)
        }
    };
    let mut inner = state.inner.lock().unwrap();
    if is_proven {
        inner.seen.push(if kind == "http-01" {
            "http-01"
        } else {
            "tls-alpn-01"
        });
    }
    (inner.order, inner.authorization) = if is_proven {
        ("ready", "valid")
    } else {
        ("invalid", "invalid")
    };
}

/// The key of a request.
struct Asked(Vec<u8>);

impl PublicKeyData for Asked {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

fn issue(state: &Shared, csr: &str) {
    let csr = URL_SAFE_NO_PAD.decode(csr).unwrap();
    let request = x509_cert::request::CertReq::from_der(&csr).unwrap();
    let key = &request.info.public_key.subject_public_key;
    let names = state.inner.lock().unwrap().names.clone();
    for name in &names {
        let name = name.as_bytes();
        let info = request.info.to_der().unwrap();
        assert!(info.windows(name.len()).any(|window| window == name));
    }
    let mut parameters = CertificateParams::new(names).unwrap();
    let now = std::time::SystemTime::now();
    parameters.not_before = now.into();
    parameters.not_after = (now + std::time::Duration::from_secs(90 * 24 * 3600)).into();
    let asked = Asked(key.raw_bytes().to_vec());
    let issued = parameters.signed_by(&asked, &state.issuer).unwrap();
    let mut inner = state.inner.lock().unwrap();
    inner.chain = format!("{}{}", issued.pem(), state.root_pem);
    inner.order = "valid";
}

/// What a plain request for a path gets; nothing where nobody listens.
pub(super) async fn fetch(node: SocketAddr, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(node).await else {
        return String::new();
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The certificate that is shown for `acme-tls/1` under this name.
async fn shown_for(node: SocketAddr, name: &str) -> Option<Vec<u8>> {
    let mut config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let stream = TcpStream::connect(node).await.ok()?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.ok()?;
    let session = stream.get_ref().1;
    assert_eq!(session.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    Some(session.peer_certificates()?.first()?.to_vec())
}

/// An authority looks at what is shown, whoever signed it.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
