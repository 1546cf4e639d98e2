//! One certificate: an account, an order, a proof for each name, and the chain with its key.

use std::io;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::super::private_file::keep;
use super::challenges::Challenges;
use super::client::Client;
use super::{Acme, AcmeError, Proof};

/// A chain and its key, both as PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// The account of this node at the authority: the one that is kept for it, else a new one.
pub(super) async fn account(acme: &Acme) -> Result<Account, AcmeError> {
    let roots = tokio::fs::read(&acme.roots).await;
    let client = roots.and_then(|roots| Client::new(&roots));
    let client = client.map_err(|source| AcmeError::Roots {
        path: acme.roots.clone(),
        source,
    })?;
    let builder = Account::builder_with_http(Box::new(client));
    let path = acme.account_file();
    if let Ok(kept) = tokio::fs::read(&path).await
        && let Ok(kept) = serde_json::from_slice::<AccountCredentials>(&kept)
    {
        return Ok(builder.from_credentials(kept).await?);
    }
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let made = builder.create(&wanted, acme.directory.clone(), None).await;
    let (account, credentials) = made?;
    let text = serde_json::to_vec(&credentials).map_err(io::Error::other);
    keep(&path, &text.map_err(AcmeError::Keep)?)?;
    Ok(account)
}

/// The authority does not know the account that asks (RFC 8555 §6.7).
pub(super) fn is_forgotten(error: &instant_acme::Error) -> bool {
    let instant_acme::Error::Api(problem) = error else {
        return false;
    };
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
}

/// Proves each name and takes the certificate.
pub(super) async fn obtain(
    acme: &Acme,
    account: &Account,
    challenges: &Challenges,
) -> Result<Issued, AcmeError> {
    let names = acme.domains.iter().cloned().map(Identifier::Dns);
    let identifiers: Vec<Identifier> = names.collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => return Err(AcmeError::NotAuthorized),
        }
        let kind = match acme.proof {
            Proof::Http01 => ChallengeType::Http01,
            Proof::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let challenge = authorization.challenge(kind);
        let mut challenge = challenge.ok_or(AcmeError::NoChallenge(acme.proof.as_str()))?;
        let proof = challenge.key_authorization();
        match acme.proof {
            Proof::Http01 => challenges.show_word(&challenge.token, proof.as_str()),
            Proof::TlsAlpn01 => {
                let name = challenge.identifier().to_string();
                let digest = proof.digest();
                challenges
                    .show_certificate(&name.to_ascii_lowercase(), digest.as_ref())
                    .map_err(AcmeError::Certificate)?;
            }
        }
        challenge.set_ready().await?;
    }
    let retries = RetryPolicy::new().timeout(super::ORDER_TIME_MAX);
    let status = order.poll_ready(&retries).await?;
    if status != OrderStatus::Ready && status != OrderStatus::Valid {
        return Err(AcmeError::NotAuthorized);
    }
    let key = KeyPair::generate().map_err(AcmeError::Certificate)?;
    let mut parameters =
        CertificateParams::new(acme.domains.clone()).map_err(AcmeError::Certificate)?;
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(&key);
    let request = request.map_err(AcmeError::Certificate)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&retries).await?;
    Ok(Issued {
        chain,
        key: key.serialize_pem(),
    })
}
