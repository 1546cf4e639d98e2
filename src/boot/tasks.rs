//! What the control runtime does for signalling: resolve links, reserve alias numbers, follow the
//! database.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use crate::call::snapshot::{Settings, Snapshot};
use crate::config::Config;
use crate::guard_rules;
use crate::registrar::keeping;
use crate::shell::signalling::{Question, SignallingLink, Word};
use crate::shell::tcp::Gate;
use crate::storage::{Snapshot as Stored, Store};

/// Questions that wait for the database at once.
pub(super) const QUESTIONS_MAX: usize = 4_096;
/// Look-ups under way at once; more would only wait for a reader.
const LOOKUPS_MAX: usize = 64;
/// With a full queue to signalling, a word is said again after this long.
const SAY_AGAIN: Duration = Duration::from_millis(2);

/// Answers signalling's questions until it is gone.
pub(super) async fn answer_questions(
    store: Store,
    link: SignallingLink,
    mut questions: mpsc::Receiver<Question>,
) {
    let room = Arc::new(Semaphore::new(LOOKUPS_MAX));
    while let Some(question) = questions.recv().await {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let (store, link) = (store.clone(), link.clone());
        tokio::spawn(async move {
            let word = match question {
                Question::Resolve { ticket, user, host } => {
                    let now = Timestamp::now();
                    let outcome = store.resolve_for_call(&user, Some(&host), now).await;
                    Word::Resolved {
                        ticket,
                        outcome: Box::new(outcome),
                    }
                }
                Question::ReserveAliases { count } => {
                    match store.reserve_alias_block(count).await {
                        Ok(first) => Word::AliasBlock { first, count },
                        Err(error) => {
                            tracing::error!(%error, "no alias numbers could be reserved");
                            Word::AliasBlock { first: 0, count: 0 }
                        }
                    }
                }
            };
            say(&link, word).await;
            drop(permit);
        });
    }
}

/// Hands every new snapshot of the database to signalling, the first one at once.
/// But first what the fraud guard counted in the last run, and where phones were: it must be there
/// before the first call.
pub(super) async fn follow_snapshots(
    store: Store,
    link: SignallingLink,
    local: LocalSettings,
    gate: Arc<Gate>,
) {
    let mut watch = store.watch();
    match guard_rules::counts::load(&store, Timestamp::now()).await {
        Ok(counts) => say(&link, Word::GuardCounts(counts)).await,
        Err(error) => tracing::error!(%error, "the counts of the fraud guard begin anew"),
    }
    match keeping::load(&store, Timestamp::now()).await {
        Ok(kept) => say(&link, Word::Phones(kept)).await,
        Err(error) => tracing::error!(%error, "phones are not reached until they register anew"),
    }
    loop {
        let stored = Arc::clone(&watch.borrow_and_update());
        let snapshot = Arc::new(local.complete(&stored));
        gate.replace(Arc::clone(&snapshot));
        say(&link, Word::Snapshot(snapshot)).await;
        if watch.changed().await.is_err() {
            return;
        }
    }
}

pub(super) async fn say(link: &SignallingLink, word: Word) {
    let mut word = word;
    while let Err(refused) = link.say(word) {
        word = refused;
        tokio::time::sleep(SAY_AGAIN).await;
    }
}

/// What the file adds to a snapshot of the database.
#[derive(Debug, Clone)]
pub(super) struct LocalSettings {
    domain: Option<String>,
    media_timeout: Duration,
    advertised_media: Option<IpAddr>,
    srtp_over_clear_signalling: bool,
}

impl LocalSettings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            domain: config.sip.domain.clone(),
            media_timeout: config.media.timeout,
            advertised_media: config.media.advertised,
            srtp_over_clear_signalling: config.sip.srtp_over_clear_signalling,
        }
    }

    fn complete(&self, stored: &Stored) -> Snapshot {
        let sip_domain = stored
            .settings
            .sip_domain
            .clone()
            .or_else(|| self.domain.clone());
        Snapshot {
            trunks: stored.trunks.clone(),
            sources: stored.sources.clone(),
            extensions: stored.extensions.clone(),
            extension_trunks: BTreeMap::new(),
            guard: stored.settings.guard.clone(),
            settings: Settings {
                sip_domain,
                hide_state: stored.settings.hide_state,
                media_timeout: self.media_timeout,
                advertised_media: self.advertised_media,
                srtp_over_clear_signalling: self.srtp_over_clear_signalling,
                digest_offer: stored.settings.digest_offer,
            },
        }
    }
}
