//! `guard explain`: what the guard would say to a number now. The guard of a running node is asked by
//! call control; where none runs, one with the rules and counts of the database.

use std::net::IpAddr;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::counts;
use crate::fraud_guard::{Explanation, Guard, Question, Way};
use crate::links;
use crate::links::model::Destination;
use crate::storage::{StorageError, Store};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The number as a link or a guest would write it, before the trunk's rewriting.
    pub number: String,
    /// Id or label of the trunk; `None`: the first that carries it.
    pub trunk: Option<String>,
    /// The source.
    pub client: Option<IpAddr>,
    /// Request path or id of the link by which it is called.
    pub link: Option<String>,
    /// The time; `None`: now.
    pub at: Option<Timestamp>,
    /// How it comes to be; `None`: by the link, or ad hoc without one.
    pub way: Option<Way>,
}

/// The answer, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplanationShape {
    /// What would be dialled; absent: nothing can be.
    pub dialled: Option<String>,
    /// Id of the trunk.
    pub trunk: String,
    /// `extension`, `e164`, `emergency`, `unknown`, `malformed`.
    pub class: String,
    /// The numbers it can be read as; the first is what it means.
    pub readings: Vec<String>,
    /// Country of that number.
    pub country: Option<String>,
    /// `dial` or `refuse`.
    pub verdict: String,
    /// The reason code of a refusal.
    pub reason: Option<String>,
    /// The rule that decides: id or setting.
    pub decided_by: Option<String>,
    /// Longest duration of the call in seconds.
    pub duration_max_s: u64,
    /// The guard only watches: it would be dialled all the same.
    pub dry_run: bool,
    /// Each question with its answer, in order.
    pub steps: Vec<StepShape>,
}

/// One question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepShape {
    /// Id of the rule, or the setting.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub answer: String,
}

/// What is asked of the guard, with the trunk and the link found.
///
/// # Errors
/// No such trunk or link, or the database cannot be read.
pub async fn question(store: &Store, asked: &Asked) -> Result<Question, StorageError> {
    let snapshot = store.snapshot();
    let link = match &asked.link {
        Some(link) => Some(links::store::get(store, link).await?),
        None => None,
    };
    let pinned = link.as_ref().and_then(|link| link.trunk.clone());
    let wanted = asked.trunk.clone().or(pinned);
    let trunk = snapshot
        .trunks
        .iter()
        .find(|trunk| match &wanted {
            Some(wanted) => trunk.id == *wanted || trunk.label == *wanted,
            None => trunk.enabled && trunk.carries_terminating && trunk.covers(&asked.number, ""),
        })
        .ok_or_else(|| match &wanted {
            Some(wanted) => no_trunk(wanted.clone()),
            None => StorageError::NotFound {
                what: "enabled trunk that carries",
                value: asked.number.clone(),
            },
        })?;
    let named_by_link = link.as_ref().is_some_and(|link| {
        matches!(&link.destination, Destination::Remote { user, .. } if *user == asked.number)
    });
    let usual = if link.is_some() {
        Way::Link
    } else {
        Way::AdHoc
    };
    Ok(Question {
        number: asked.number.clone(),
        trunk: trunk.id.clone(),
        way: asked.way.unwrap_or(usual),
        client: asked.client,
        at: asked.at,
        named_by_link,
    })
}

/// Asks a guard of our own with the rules and counts of the database, as of a second ago; calls that
/// are up are not in them.
///
/// # Errors
/// No such trunk, or the database cannot be read.
pub async fn of_database(
    store: &Store,
    question: &Question,
) -> Result<ExplanationShape, StorageError> {
    let snapshot = store.snapshot();
    let mut trunks = snapshot.trunks.iter();
    let trunk = trunks
        .find(|trunk| trunk.id == question.trunk)
        .ok_or_else(|| no_trunk(question.trunk.clone()))?;
    let (now, instant) = (Timestamp::now(), Instant::now());
    let mut guard = Guard::default();
    guard.restore(counts::load(store, now).await?, instant, now);
    guard.replace_rules(snapshot.settings.guard.clone());
    let user = trunk.rewrite(&question.number);
    let told = question.ask(&guard, (&user, &trunk.dial_plan), instant, now);
    Ok(shape(&trunk.id, told))
}

fn no_trunk(value: String) -> StorageError {
    StorageError::NotFound {
        what: "trunk",
        value,
    }
}

/// What the guard has told, as JSON.
#[must_use]
pub fn shape(trunk: &str, explanation: Explanation) -> ExplanationShape {
    let decided_by = explanation
        .decided_by
        .and_then(|index| explanation.steps.get(index))
        .map(|step| step.rule.clone());
    ExplanationShape {
        dialled: explanation.dialled,
        trunk: trunk.to_owned(),
        class: explanation.class.to_owned(),
        readings: explanation.readings,
        country: explanation.country.filter(|country| country != "ZZ"),
        verdict: if explanation.outcome.is_ok() {
            "dial".to_owned()
        } else {
            "refuse".to_owned()
        },
        reason: explanation
            .outcome
            .err()
            .map(|reason| reason.as_str().to_owned()),
        decided_by,
        duration_max_s: explanation.duration_max.as_secs(),
        dry_run: explanation.dry_run,
        steps: explanation
            .steps
            .into_iter()
            .map(|step| StepShape {
                rule: step.rule,
                name: step.name,
                answer: step.answer,
            })
            .collect(),
    }
}
