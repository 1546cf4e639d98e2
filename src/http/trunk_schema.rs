//! What the API's document says of trunks. Keys, sentences and examples are those of the documented
//! configuration file, so that there is one text for both.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::fields_of;
use super::schema::{Field, Kind, Schema};
use crate::trunks::api::{AppliedList, AppliedShape, TargetTest, TrunkList, TrunkTest, TrunkView};
use crate::trunks::shape::TrunkShape;

/// The properties of a `[[trunk]]` table.
fn properties() -> Map<String, Value> {
    let documented = documented();
    let defaults = serde_json::to_value(TrunkShape::default()).unwrap_or_default();
    fields_of::<TrunkShape>()
        .iter()
        .filter(|name| !OWN.contains(name))
        .map(|name| {
            let table = (Value::Null, "A table of its own, as in conf/sluice.toml.");
            let (example, description) = documented.get(name).cloned().unwrap_or(table);
            let default = defaults.get(name).cloned().unwrap_or_default();
            let example = if example.is_null() {
                default.clone()
            } else {
                example
            };
            let mut property = kind(if default.is_null() {
                &example
            } else {
                &default
            });
            if let Some(object) = property.as_object_mut() {
                object.insert("description".to_owned(), description.into());
                object.insert("example".to_owned(), example);
                object.insert("default".to_owned(), default);
            }
            ((*name).to_owned(), property)
        })
        .collect()
}

/// Example and sentence of each key, from lines such as `# weight = 1 # Share among …`.
fn documented() -> BTreeMap<&'static str, (Value, &'static str)> {
    const FILE: &str = include_str!("../../conf/sluice.toml");
    FILE.lines()
        .skip_while(|line| line.trim_end() != "# [[trunk]]")
        .skip(1)
        .take_while(|line| !line.starts_with("# [[link]]") && !line.starts_with("# [[source]]"))
        .filter_map(|line| {
            let line = line.strip_prefix("# ")?;
            let (setting, sentence) = line.split_once(" # ")?;
            let (key, value) = setting.split_once(" = ")?;
            let table: toml::Table = toml::from_str(&format!("{key} = {value}")).ok()?;
            let example = serde_json::to_value(table.get(key)?).ok()?;
            Some((key, (example, sentence)))
        })
        .collect::<Vec<_>>()
        .into_iter()
        // The first line of a name counts: tables inside a trunk have names of their own.
        .rev()
        .collect()
}

fn kind(value: &Value) -> Value {
    match value {
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(_) => json!({"type": "array"}),
        Value::Object(_) => json!({"type": "object"}),
        Value::Null => json!({}),
    }
}

/// The names of a trunk as it is shown.
fn view_names() -> Vec<&'static str> {
    let mut names = fields_of::<TrunkShape>().to_vec();
    names.extend(["id", "has_password"]);
    names
}

/// The names of a trunk as it is sent.
fn draft_names() -> Vec<&'static str> {
    let mut names = fields_of::<TrunkShape>().to_vec();
    names.extend(["id", "password"]);
    names
}

fn patch_names() -> Vec<&'static str> {
    let mut names = fields_of::<TrunkShape>().to_vec();
    names.push("password");
    names
}

/// A trunk that somebody sends: the reader of the configuration judges it.
#[derive(Debug)]
struct Sent;

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(from)?;
        crate::trunks::api::draft(object)
            .map(|_| Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Fields that the schemas describe themselves.
const OWN: [&str; 3] = ["label", "targets", "preset"];

const PASSWORD: Field = Field::optional(
    "password",
    Kind::Nullable(&Kind::Text),
    "For digest authentication. Kept sealed, never shown; null takes it away.",
    "\"correct horse\"",
);
const LABEL: Field = Field::new(
    "label",
    Kind::Text,
    "For people; never routes.",
    "\"carrier\"",
);
const PRESET: Field = Field::optional(
    "preset",
    Kind::Text,
    "Defaults for the rest: cucm, expressway, carrier or registering-pbx.",
    "\"carrier\"",
);
const TARGETS: &str = "Where it is: texts such as 192.0.2.1:5060 or sip.example.com (found by SRV), or objects with \
     priority and weight.";

static TARGET: Schema = Schema::of::<crate::trunks::shape::TargetShape>(
    "Target",
    &[
        Field::new(
            "address",
            Kind::Text,
            "Address or name with port, or a name alone, which is found by SRV.",
            "\"192.0.2.1:5060\"",
        ),
        Field::new("priority", Kind::Whole, "Lowest first.", "10"),
        Field::new(
            "weight",
            Kind::Whole,
            "Share among targets of equal priority.",
            "1",
        ),
    ],
);

pub(super) static TRUNK: Schema = Schema::of::<TrunkView>(
    "Trunk",
    &[
        Field::new(
            "id",
            Kind::Text,
            "tr_ and 12 hexadecimal digits.",
            "\"tr_0123456789ab\"",
        ),
        Field::new(
            "has_password",
            Kind::Boolean,
            "A password is stored.",
            "true",
        ),
        LABEL,
        PRESET,
        Field::new("targets", Kind::Objects(&TARGET), "Where it is.", ""),
    ],
)
.and(properties, view_names);

pub(super) static TRUNKS: Schema = Schema::of::<TrunkList>(
    "Trunks",
    &[Field::new("trunks", Kind::Objects(&TRUNK), "By label.", "")],
);

pub(super) static DRAFT: Schema = Schema::of::<Sent>(
    "TrunkDraft",
    &[
        Field::optional("id", Kind::Text, "Made when absent.", "\"tr_0123456789ab\""),
        LABEL,
        PRESET,
        Field::new("targets", Kind::Any, TARGETS, "[\"192.0.2.1:5060\"]"),
        PASSWORD,
    ],
)
.and(properties, draft_names);

pub(super) static PATCH: Schema = Schema::of::<Value>(
    "TrunkPatch",
    &[
        Field::optional(
            "label",
            Kind::Text,
            "For people; never routes.",
            "\"carrier\"",
        ),
        PRESET,
        Field::optional("targets", Kind::Any, TARGETS, "[\"192.0.2.1:5060\"]"),
        PASSWORD,
    ],
)
.and(properties, patch_names);

pub(super) static DRAFTS: Schema = Schema::of::<Value>(
    "TrunkDrafts",
    &[Field::new(
        "trunks",
        Kind::Objects(&DRAFT),
        "Found by id, else by label.",
        "",
    )],
);

pub(super) static APPLIED: Schema = Schema::of::<AppliedList>(
    "AppliedTrunks",
    &[Field::new(
        "applied",
        Kind::Objects(&APPLIED_ONE),
        "In the order in which they were sent.",
        "",
    )],
);

static APPLIED_ONE: Schema = Schema::of::<AppliedShape>(
    "AppliedTrunk",
    &[
        Field::new("id", Kind::Text, "Its id.", "\"tr_0123456789ab\""),
        Field::new("label", Kind::Text, "Its label.", "\"carrier\""),
        Field::new(
            "result",
            Kind::Word(&["created", "changed", "unchanged"]),
            "What happened to it.",
            "\"created\"",
        ),
    ],
);

pub(super) static TEST: Schema = Schema::of::<TrunkTest>(
    "TrunkTest",
    &[
        Field::new(
            "up",
            Kind::Boolean,
            "Every target answers, and there is one.",
            "true",
        ),
        Field::new("targets", Kind::Objects(&TARGET_TEST), "One by one.", ""),
        Field::new(
            "advice",
            Kind::Nullable(&Kind::Text),
            "What keeps it from carrying calls whatever its targets say, and what to do.",
            "null",
        ),
    ],
);

static TARGET_TEST: Schema = Schema::of::<TargetTest>(
    "TargetTest",
    &[
        Field::new(
            "target",
            Kind::Text,
            "Address and port.",
            "\"192.0.2.1:5060\"",
        ),
        Field::new("up", Kind::Boolean, "It may carry calls.", "true"),
        Field::new(
            "status",
            Kind::Nullable(&Kind::Whole),
            "Status of its answer; null: it gave none.",
            "200",
        ),
        Field::new(
            "round_trip_ms",
            Kind::Nullable(&Kind::Number),
            "Milliseconds from request to answer.",
            "1.5",
        ),
        Field::new(
            "error",
            Kind::Nullable(&Kind::Text),
            "Why nothing could be sent.",
            "null",
        ),
    ],
);
