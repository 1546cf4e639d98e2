//! What call control needs of the database, as one value that never changes: a change makes a new
//! one.

use sqlx::SqliteConnection;

use super::error::StorageError;
use super::node_key::NodeKey;
use crate::registrar::model::Extension;
use crate::settings::model::Settings;
use crate::sources::model::{LinkAccess, Source};
use crate::tokens::model::TokenTable;
use crate::trunks::model::{Network, SrtpPolicy, Trunk, TrunkTarget};
use crate::trunks::names::{Answers, Names};
use crate::trunks::place::{Found, Question, plain, targets};
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

/// Grows with each change or deletion of a link.
pub(super) async fn links_changed(connection: &mut SqliteConnection) -> Result<i64, StorageError> {
    Ok(
        sqlx::query_scalar("SELECT value FROM sequences WHERE name = 'links'")
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
    names: &Names,
) -> Result<Snapshot, StorageError> {
    let revision = revision(connection).await?;
    let mut settings = settings::store::load(connection).await?;
    settings.guard.named = guard_rules::store::load(connection).await?;
    let stored = trunks::store::load(connection, key).await?;
    let mut sources = sources::store::load(connection).await?;
    let extensions = registrar::store::load(connection, key).await?;
    let tokens = tokens::store::load(connection).await?;
    let answers = names
        .answers(stored.iter().flat_map(questions).collect())
        .await;
    let mut trunks: Vec<Trunk> = stored
        .iter()
        .map(|stored| stored.trunk(resolved(stored, &answers)))
        .collect();
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
        names_resolved: !answers.is_empty(),
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
        srtp: SrtpPolicy::Off,
    }
}

fn questions(stored: &StoredTrunk) -> impl Iterator<Item = Question> {
    let transport = stored.shape.transport;
    let targets = stored.shape.targets.iter();
    targets.filter_map(move |target| Question::of(&target.address, transport))
}

fn resolved(stored: &StoredTrunk, answers: &Answers) -> Vec<TrunkTarget> {
    let mut found = Vec::new();
    for target in &stored.shape.targets {
        let located = match Question::of(&target.address, stored.shape.transport) {
            None => plain(target.address.parse()),
            Some(question) => answers.get(&question).cloned().unwrap_or_default(),
        };
        found.extend(located.into_iter().map(|located| Found {
            priority: target.priority,
            weight: target.weight,
            located,
        }));
    }
    targets(&found)
}
