//! `[[trunk]]` and `[[source]]` as JSON objects: the API takes the same keys by the same rules as the
//! file, because it goes through the same reader.

use std::path::Path;

use serde_json::{Map, Value};

use super::problem::Problem;
use super::reader::{Document, Reader};
use super::tables;
use crate::field_errors::FieldErrors;
use crate::sources::model::Source;
use crate::trunks::apply::TrunkTable;

/// A trunk of a JSON object. `targets` may hold texts and objects; a password is not among the keys.
///
/// # Errors
/// Every wrong key.
pub fn trunk_of_object(mut object: Map<String, Value>) -> Result<TrunkTable, FieldErrors> {
    let mut errors = FieldErrors::new();
    for key in ["password_file", "target"] {
        if object.remove(key).is_some() {
            let accepted = "`password` and `targets`: names of files and tables are for files";
            errors.add(key, "a key of the configuration file", accepted);
        }
    }
    if object.get("preset").is_some_and(|preset| preset == "") {
        object.remove("preset");
    }
    let mut tables = Vec::new();
    if let Some(Value::Array(targets)) = object.get_mut("targets") {
        tables = targets
            .extract_if(.., |target| target.is_object())
            .collect();
        if targets.is_empty() {
            object.remove("targets");
        }
    }
    if !tables.is_empty() {
        object.insert("target".to_owned(), Value::Array(tables));
    }
    read("trunk", object, errors, |root| {
        let table = root.tables("trunk").into_iter().next()?;
        tables::trunk(table, Path::new(""))
    })
}

/// A source of a JSON object.
///
/// # Errors
/// Every wrong key.
pub fn source_of_object(object: Map<String, Value>) -> Result<Source, FieldErrors> {
    read("source", object, FieldErrors::new(), |root| {
        let table = root.tables("source").into_iter().next()?;
        tables::source(table)
    })
}

fn read<T>(
    name: &'static str,
    object: Map<String, Value>,
    mut errors: FieldErrors,
    parse: impl FnOnce(&Reader<'_>) -> Option<T>,
) -> Result<T, FieldErrors> {
    let root = serde_json::json!({ name: [without_null(Value::Object(object))] });
    let text = match toml::to_string(&root) {
        Ok(text) => text,
        Err(error) => {
            errors.add(name, "this object", error.to_string());
            return Err(errors);
        }
    };
    let document = Document::new(&text);
    let table = document.parse();
    let root = Reader::root(&document, &table);
    let parsed = parse(&root);
    root.finish();
    for problem in document.into_problems() {
        add(name, &problem, &mut errors);
    }
    match parsed {
        Some(parsed) => errors.or(parsed),
        None => Err(errors),
    }
}

/// `trunk[1].target[2].address` is `targets[2].address` of the object.
fn add(name: &str, problem: &Problem, errors: &mut FieldErrors) {
    let key = problem
        .key
        .strip_prefix(name)
        .and_then(|key| key.strip_prefix("[1]"))
        .unwrap_or(&problem.key)
        .trim_start_matches('.');
    let key = match key.strip_prefix("target[") {
        Some(rest) => format!("targets[{rest}"),
        None => key.to_owned(),
    };
    errors.add(key, &problem.found, problem.accepted.clone());
}

/// TOML has no null: absent is the same. Inside a list it is a value like any other wrong one.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_null(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list
            .into_iter()
            .map(|value| {
                if value.is_null() {
                    Value::Bool(false)
                } else {
                    without_null(value)
                }
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trunks::preset::{PRESETS, preset};

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_preset_reads_back_as_it_is_shown() {
        for name in PRESETS {
            let mut shape = preset(name).unwrap();
            shape.label = "carrier".to_owned();
            shape.targets = vec![crate::trunks::shape::TargetShape {
                address: "192.0.2.1:5060".to_owned(),
                priority: 10,
                weight: 1,
            }];
            let shown = serde_json::to_value(&shape).unwrap();
            let table = trunk_of_object(object(&shown)).unwrap();
            assert_eq!(table.shape, shape, "{name}");
        }
    }

    #[test]
    fn texts_and_objects_are_targets() {
        let table = trunk_of_object(object(&json!({
            "label": "x",
            "targets": ["192.0.2.1:5060", {"address": "sip.example.net:5060", "priority": 20}],
            "realm": null,
        })))
        .unwrap();
        let priorities: Vec<u16> = table.shape.targets.iter().map(|t| t.priority).collect();
        assert_eq!(priorities, [10, 20]);
    }

    #[test]
    fn every_wrong_key_of_a_trunk_is_named_and_no_file_is_read() {
        let errors = trunk_of_object(object(&json!({
            "targets": [{"address": "nowhere"}],
            "weight": 0,
            "max_cps": "x",
            "colour": 1,
            "patterns": [null],
            "password_file": "/etc/shadow",
        })))
        .unwrap_err();
        let mut fields = errors.fields();
        fields.sort_unstable();
        let wrong = [
            "colour",
            "label",
            "max_cps",
            "password_file",
            "patterns",
            "targets",
            "targets[1].address",
            "weight",
        ];
        assert_eq!(fields, wrong);
        assert!(!errors.to_string().contains("shadow"), "{errors}");
    }

    #[test]
    fn every_wrong_key_of_a_source_is_named() {
        let errors =
            source_of_object(object(&json!({"links": "some", "ad_hoc": 1, "x": 1}))).unwrap_err();
        let mut fields = errors.fields();
        fields.sort_unstable();
        assert_eq!(fields, ["ad_hoc", "links", "name", "networks", "x"]);
        let source = source_of_object(object(
            &json!({"name": "a", "networks": ["192.0.2.0/24"], "links": ["x"]}),
        ))
        .unwrap();
        assert_eq!(source.name, "a");
    }
}
