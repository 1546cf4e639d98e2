//! `/api/v1/guard`: the fraud guard's rules in their order, and what it would say to a number.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::answer::{Expected, Tag, created, done, json};
use super::body::{Asked, Body, Name};
use super::calls::{ask, unexpected};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::call::command::{Command, CommandOutcome};
use crate::field_errors::FieldErrors;
use crate::fraud_guard::Way;
use crate::guard_rules::explain::{self, ExplanationShape, StepShape};
use crate::guard_rules::shape::{KINDS, RuleDraft, RuleList, RuleShape};
use crate::guard_rules::store;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(ADD, add)
        .with(SHOW, show)
        .with(SET, set)
        .with(REMOVE, remove)
        .with(EXPLAIN, explain)
}

/// Words of the query of a change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    position: Option<usize>,
}

/// Words of the query of a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    number: String,
    trunk: Option<String>,
    ip: Option<String>,
    link: Option<String>,
    at: Option<String>,
    way: Option<String>,
}

async fn list(State(state): State<HttpState>) -> Result<Response, Problem> {
    let rules = store::list(&state.store).await?;
    let shapes = rules.iter().enumerate();
    Ok(json(&RuleList {
        rules: shapes
            .map(|(index, stored)| RuleShape::new(index, stored))
            .collect(),
    }))
}

async fn add(
    State(state): State<HttpState>,
    Asked(place): Asked<Place>,
    Body(draft): Body<RuleDraft>,
) -> Result<Response, Problem> {
    let (index, stored) = store::add(&state.store, &draft, place.position).await?;
    let shape = RuleShape::new(index, &stored);
    tracing::info!(
        rule = shape.id,
        kind = draft.kind,
        "a rule of the guard was made"
    );
    Ok(created(
        &format!("/api/v1/guard/rules/{}", shape.id),
        &shape,
    ))
}

async fn show(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (index, stored) = store::get(&state.store, &name).await?;
    Ok(Tag::answer(&headers, &RuleShape::new(index, &stored)))
}

async fn set(
    State(state): State<HttpState>,
    Name(name): Name,
    Asked(place): Asked<Place>,
    headers: HeaderMap,
    Body(draft): Body<RuleDraft>,
) -> Result<Response, Problem> {
    let check = unchanged(&headers);
    let (index, stored) = store::set(&state.store, &name, &draft, place.position, check).await?;
    let shape = RuleShape::new(index, &stored);
    tracing::info!(rule = shape.id, "a rule of the guard was changed");
    Ok(Tag::of(&shape).on(json(&shape)))
}

/// It is what the asker has read.
fn unchanged(headers: &HeaderMap) -> store::Check {
    let expected = Expected::of(headers);
    Box::new(move |index, stored| expected.check(&RuleShape::new(index, stored)))
}

async fn remove(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let gone = store::delete(&state.store, &name, unchanged(&headers)).await?;
    tracing::info!(rule = gone.rule.id, "a rule of the guard was deleted");
    Ok(done())
}

/// A service is no number: `urn:service:sos` reaches what the link `sos` names (RFC 5031).
const SERVICE: &str =
    "a number: urn:service:sos is the link `sos`, ask for that link's destination";

async fn explain(
    State(state): State<HttpState>,
    Asked(question): Asked<Question>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::new();
    let client = question.ip.as_deref().and_then(|text| {
        let address: Option<IpAddr> = text.parse().ok();
        if address.is_none() {
            errors.add("ip", text, "an IP address");
        }
        address
    });
    if question.number.to_ascii_lowercase().starts_with("urn:") {
        errors.add("number", &question.number, SERVICE);
    }
    let at = question.at.as_deref().and_then(|text| {
        let time: Option<Timestamp> = text.parse().ok();
        if time.is_none() {
            errors.add("at", text, "a time by RFC 3339");
        }
        time
    });
    let way = question.way.as_deref().and_then(|word| {
        let way = Way::from_word(word);
        if way.is_none() {
            errors.add("way", word, Way::ALL.map(Way::as_str).join(", "));
        }
        way
    });
    let asked = errors
        .or(explain::Asked {
            number: question.number,
            trunk: question.trunk,
            client,
            link: question.link,
            at,
            way,
        })
        .map_err(Problem::invalid)?;
    let question = explain::question(&state.store, &asked).await?;
    if state.calls.is_none() {
        return Ok(json(&explain::of_database(&state.store, &question).await?));
    }
    let trunk = question.trunk.clone();
    let outcome = ask(&state, Command::Explain(question)).await?;
    let CommandOutcome::Explained(told) = outcome else {
        return Err(unexpected(&outcome));
    };
    Ok(json(&explain::shape(&trunk, *told)))
}

const READ: Needs = Needs::Scope(Scope::GuardRead);
const WRITE: Needs = Needs::Scope(Scope::GuardWrite);
const RULES: &str = "/api/v1/guard/rules";
const RULE: &str = "/api/v1/guard/rules/{rule}";
const POSITION: &[(&str, &str)] = &[(
    "position",
    "Place in the order, counted from 1; absent: where it is, a new rule last.",
)];
const UNKNOWN: &[(u16, &str)] = &[(404, "No such rule.")];
const GONE: &[(u16, &str)] = &[
    (404, "No such rule."),
    (412, "It was changed since it was read."),
];
const BROKEN: &[(u16, &str)] = &[
    (404, "No such rule."),
    (409, "Another rule has this name."),
    (412, "It was changed since it was read."),
    (422, "A field breaks a rule."),
];

const LIST: Operation = Operation::new(Verb::Get, RULES, READ, "All rules in their order")
    .answering(Content::Json(&RULE_LIST));

const ADD: Operation = Operation::new(Verb::Post, RULES, WRITE, "Make a rule")
    .described(
        "It counts from now on. Of the rules that allow and block, the first that names a number \
         decides; every cap counts for itself.",
    )
    .asking(POSITION)
    .taking(Content::Json(&DRAFT))
    .answering(Content::Json(&SHAPE))
    .refusing(BROKEN);

const SHOW: Operation = Operation::new(Verb::Get, RULE, READ, "One rule, by id or name")
    .answering(Content::Json(&SHAPE))
    .refusing(UNKNOWN);

const SET: Operation = Operation::new(Verb::Put, RULE, WRITE, "Change or move a rule")
    .described("Its id stays, and its counts where they still mean the same.")
    .asking(POSITION)
    .taking(Content::Json(&DRAFT))
    .answering(Content::Json(&SHAPE))
    .refusing(BROKEN);

const REMOVE: Operation =
    Operation::new(Verb::Delete, RULE, WRITE, "Delete a rule and its counts").refusing(GONE);

const EXPLAIN: Operation = Operation::new(
    Verb::Get,
    "/api/v1/guard/explain",
    READ,
    "What the guard would say to a number, and why",
)
.described(
    "Nothing is counted. The guard of the running node answers, with the calls that are up; where no \
     node runs, one with what the database has of its counts.",
)
.asking(&[
    ("number", "The number, as a link or a guest would write it."),
    (
        "trunk",
        "Id or label; absent: that of the link, else the first that carries the number.",
    ),
    ("ip", "The source address."),
    (
        "link",
        "Request path or id of the link by which it is called.",
    ),
    ("at", "The time, by RFC 3339; absent: now."),
    ("way", "link, ad_hoc, api, extension or transit."),
])
.answering(Content::Json(&EXPLANATION))
.refusing(&[
    (404, "No such trunk or link."),
    (422, "A word of the query is not right."),
]);

const TEXT: Kind = Kind::Nullable(&Kind::Text);
const WHOLE: Kind = Kind::Nullable(&Kind::Whole);

static DRAFT: Schema = Schema::of::<RuleDraft>(
    "GuardRuleDraft",
    &[
        Field::new(
            "name",
            Kind::Text,
            "For people; each rule has its own.",
            "\"no Caribbean\"",
        ),
        Field::new("kind", Kind::Word(&KINDS), "What it says.", "\"block\""),
        Field::optional("enabled", Kind::Boolean, "Off: not asked.", "true"),
        Field::optional(
            "ways",
            Kind::Texts,
            "Only calls that came about so; none: all.",
            "[\"ad_hoc\"]",
        ),
        Field::optional(
            "trunks",
            Kind::Texts,
            "Only these trunks, by id or label.",
            "[]",
        ),
        Field::optional(
            "networks",
            Kind::Texts,
            "Only sources in these networks.",
            "[\"192.0.2.0/24\"]",
        ),
        Field::optional(
            "numbers",
            Kind::Texts,
            "These numbers: 610, or +1876* for what begins so; * alone is every number. A rule that \
             blocks or allows names numbers or countries.",
            "[\"+1876*\"]",
        ),
        Field::optional(
            "countries",
            Kind::Texts,
            "Numbers of these countries.",
            "[\"JM\"]",
        ),
        Field::optional("max", WHOLE, "The cap of a rule that counts.", "null"),
        Field::optional(
            "seconds",
            WHOLE,
            "duration: of a call; same_destination: within which calls count.",
            "null",
        ),
        Field::optional("zone", TEXT, "hours: time zone; absent: UTC.", "null"),
        Field::optional("days", Kind::Texts, "hours: mon to sun; none: all.", "[]"),
        Field::optional("from", TEXT, "hours: such as 08:00.", "null"),
        Field::optional("until", TEXT, "hours: such as 18:00, up to 24:00.", "null"),
        Field::optional(
            "micros_max",
            WHOLE,
            "spend_per_day: micro units of one currency within 24 hours.",
            "null",
        ),
        Field::optional(
            "rates",
            Kind::Any,
            "spend_per_day: micro units a minute by prefix in E.164.",
            "{}",
        ),
        Field::optional(
            "other_rate",
            WHOLE,
            "spend_per_day: micro units a minute to everywhere else.",
            "null",
        ),
    ],
);

static SHAPE: Schema = Schema::of::<RuleShape>(
    "GuardRule",
    &[
        Field::new("id", Kind::Text, "Its id.", "\"gr_0123456789ab\""),
        Field::new("position", Kind::Whole, "Its place in the order.", "1"),
        Field::new(
            "reason",
            TEXT,
            "What a refusal by it is called in CDR, metric and answer; null: it never refuses.",
            "\"guard_blocked\"",
        ),
        Field::new("rule", Kind::Object(&DRAFT), "What it says.", ""),
    ],
);

static RULE_LIST: Schema = Schema::of::<RuleList>(
    "GuardRuleList",
    &[Field::new(
        "rules",
        Kind::Objects(&SHAPE),
        "The first is asked first.",
        "",
    )],
);

static STEP: Schema = Schema::of::<StepShape>(
    "GuardStep",
    &[
        Field::new(
            "rule",
            Kind::Text,
            "Id of the rule, or the setting.",
            "\"gr_0123456789ab\"",
        ),
        Field::new("name", Kind::Text, "Its name.", "\"no Caribbean\""),
        Field::new("answer", Kind::Text, "What it says.", "\"blocked\""),
    ],
);

static EXPLANATION: Schema = Schema::of::<ExplanationShape>(
    "GuardExplanation",
    &[
        Field::new(
            "dialled",
            TEXT,
            "What would be dialled; null: nothing can be.",
            "\"+18765550123\"",
        ),
        Field::new(
            "trunk",
            Kind::Text,
            "Id of the trunk.",
            "\"tr_0123456789ab\"",
        ),
        Field::new(
            "class",
            Kind::Text,
            "extension, e164, emergency, unknown or malformed.",
            "\"e164\"",
        ),
        Field::new(
            "readings",
            Kind::Texts,
            "What it can be read as; the first is what it means.",
            "[\"+18765550123\"]",
        ),
        Field::new("country", TEXT, "Country of that number.", "\"JM\""),
        Field::new("verdict", Kind::Text, "dial or refuse.", "\"refuse\""),
        Field::new(
            "reason",
            TEXT,
            "The reason code of a refusal.",
            "\"guard_blocked\"",
        ),
        Field::new(
            "decided_by",
            TEXT,
            "The rule or setting that decides.",
            "\"gr_0123456789ab\"",
        ),
        Field::new(
            "duration_max_s",
            Kind::Whole,
            "Longest duration of the call in seconds.",
            "14400",
        ),
        Field::new(
            "dry_run",
            Kind::Boolean,
            "The guard only watches: it would be dialled all the same.",
            "false",
        ),
        Field::new(
            "steps",
            Kind::Objects(&STEP),
            "Each question with its answer, in order.",
            "",
        ),
    ],
);
