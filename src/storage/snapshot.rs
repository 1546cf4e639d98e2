//! What call control needs of the database, as one value that never changes: a change makes a new
//! one.

use std::net::SocketAddr;
use std::time::Duration;

use sqlx::SqliteConnection;

use super::error::StorageError;
use super::node_key::NodeKey;
use crate::registrar::model::Extension;
use crate::settings::model::Settings;
use crate::sources::model::{LinkAccess, Source};
use crate::tokens::model::TokenTable;
use crate::trunks::model::{Network, Trunk, TrunkTarget};
use crate::trunks::shape::StoredTrunk;
use crate::{guard_rules, registrar, settings, sources, tokens, trunks};

/// Settings, trunks, sources and tokens as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Grows with each change.
    pub revision: i64,
    /// Parsed settings, the fraud guard's rules among them.
    pub settings: Settings,
    /// Every trunk, enabled or not, by priority; its password in clear.
    pub trunks: Vec<Trunk>,
    /// Source policies; the first that matches counts. The stored ones in their order, then one for
    /// each trunk with its addresses and its listed links.
    pub sources: Vec<Source>,
    /// The registrar's accounts, their passwords in clear.
    pub extensions: Vec<Extension>,
    /// Bearer tokens in force.
    pub tokens: TokenTable,
    /// A target is a name: what it means may change without a change here.
    pub(super) names_resolved: bool,
}

pub(super) async fn revision(connection: &mut SqliteConnection) -> Result<i64, StorageError> {
    Ok(
        sqlx::query_scalar("SELECT value FROM sequences WHERE name = 'revision'")
            .fetch_one(connection)
            .await?,
    )
}

/// Counts a change of settings, trunks or sources, in the transaction that makes it.
pub(crate) async fn bump_revision(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    sqlx::query("UPDATE sequences SET value = value + 1 WHERE name = 'revision'")
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn load(
    connection: &mut SqliteConnection,
    key: &NodeKey,
) -> Result<Snapshot, StorageError> {
    let revision = revision(connection).await?;
    let mut settings = settings::store::load(connection).await?;
    settings.guard.named = guard_rules::store::load(connection).await?;
    let stored = trunks::store::load(connection, key).await?;
    let mut sources = sources::store::load(connection).await?;
    let extensions = registrar::store::load(connection, key).await?;
    let tokens = tokens::store::load(connection).await?;
    let mut names_resolved = false;
    let mut trunks = Vec::with_capacity(stored.len());
    for stored in &stored {
        let targets = resolve_targets(stored, &mut names_resolved).await;
        trunks.push(stored.trunk(targets));
    }
    trunks.sort_by_key(|trunk| trunk.priority);
    sources.extend(
        trunks
            .iter()
            .filter(|trunk| trunk.enabled)
            .map(implicit_source),
    );
    Ok(Snapshot {
        revision,
        settings,
        trunks,
        sources,
        extensions,
        tokens,
        names_resolved,
    })
}

/// A trunk's addresses are a source that may reach the trunk's listed links only.
fn implicit_source(trunk: &Trunk) -> Source {
    let addresses = trunk.targets.iter().map(|target| Network {
        address: target.address.ip(),
        prefix_length: if target.address.is_ipv4() { 32 } else { 128 },
    });
    let links = if trunk.carries_originating && !trunk.links.is_empty() {
        LinkAccess::Listed(trunk.links.clone())
    } else {
        LinkAccess::None
    };
    Source {
        name: format!("trunk {}", trunk.label),
        networks: addresses.chain(trunk.networks.iter().copied()).collect(),
        links,
        ad_hoc: false,
        registers: false,
    }
}

async fn resolve_targets(stored: &StoredTrunk, names_resolved: &mut bool) -> Vec<TrunkTarget> {
    let mut targets = Vec::new();
    for target in &stored.shape.targets {
        let name = target.address.as_str();
        let addresses: Vec<SocketAddr> = if let Ok(address) = name.parse() {
            vec![address]
        } else {
            *names_resolved = true;
            look_up(name, &stored.shape.label).await
        };
        targets.extend(addresses.into_iter().map(|address| TrunkTarget {
            address,
            priority: target.priority,
            weight: target.weight,
        }));
    }
    targets
}

async fn look_up(name: &str, trunk: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(LOOK_UP_TIME_MAX, tokio::net::lookup_host(name)).await {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<SocketAddr> = addresses.take(ADDRESSES_MAX).collect();
            addresses.sort_unstable();
            addresses.dedup();
            addresses
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, name, trunk, "a trunk's target has no address now");
            Vec::new()
        }
        Err(_elapsed) => {
            tracing::warn!(
                name,
                trunk,
                "the name of a trunk's target was not answered in time"
            );
            Vec::new()
        }
    }
}

/// How long a name may take.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(2);
/// Addresses that one name may have.
const ADDRESSES_MAX: usize = 16;
