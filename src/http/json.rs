//! JSON that somebody sent: parsed within bounds, each key once, and into our types with every wrong
//! field named.

use std::cell::Cell;
use std::fmt;

use axum::http::StatusCode;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::fields::fields_of;
use super::problem::Problem;
use crate::field_errors::{FOUND_CHARS_MAX, FieldErrors};

/// Parses a text into one of our types.
///
/// # Errors
/// 400 for what is no JSON, is nested too deep or has a key twice; 422 with every wrong field.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let value = value(text)?;
    shape(value)
}

/// Parses a text within the bounds.
pub(super) fn value(text: &[u8]) -> Result<Value, Problem> {
    let refused = Cell::new(None);
    let mut parser = serde_json::Deserializer::from_slice(text);
    let strict = Strict {
        depth: DEPTH_MAX,
        refused: &refused,
    };
    let parsed = strict
        .deserialize(&mut parser)
        .and_then(|value| parser.end().map(|()| value));
    let error = match parsed {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    Err(match refused.take() {
        Some(Refused::Deep) => bad("json_too_deep", "The JSON is nested too deep")
            .with_detail(format!("At most {DEPTH_MAX} levels are read.")),
        Some(Refused::Twice(key)) => bad("json_key_twice", "A key stands twice in one object")
            .with_detail(format!("Twice: `{}`.", key.escape_debug())),
        None => bad("bad_json", "This is no JSON").with_detail(error.to_string()),
    })
}

/// Makes one of our types of a JSON value.
///
/// # Errors
/// 422 with every wrong field: unknown and read-only ones, missing ones, and those of a wrong type.
pub(super) fn shape<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    let known = fields_of::<T>();
    let Value::Object(mut object) = value else {
        if !known.is_empty() {
            // serde would take a list for the fields in their order.
            return Err(bad("bad_json", "A JSON object is wanted here"));
        }
        return serde_path_to_error::deserialize(value).map_err(|error| {
            bad("bad_json", "The JSON has not the shape that is wanted here")
                .with_detail(error.inner().to_string())
        });
    };
    let mut errors = FieldErrors::new();
    if !known.is_empty() {
        refuse_unknown(&mut object, known, &mut errors);
    }
    // serde stops at the first wrong field: it is named and taken out, and the rest is tried again.
    while errors.iter().len() < ERRORS_MAX {
        let (path, words) = match attempt::<T>(&object) {
            Ok(made) => return errors.or(made).map_err(Problem::invalid),
            Err(wrong) => wrong,
        };
        let missing = missing_field(&words);
        if let Some(found) = object.remove(first_word(&path)) {
            match missing {
                Some(inner) => errors.add(format!("{path}.{inner}"), "nothing", REQUIRED),
                None => errors.add(path, &shown(&found), accepted(&words)),
            }
        } else if let Some(missing) = missing {
            if !errors
                .fields()
                .iter()
                .any(|field| first_word(field) == missing)
            {
                errors.add(missing, "nothing", REQUIRED);
            }
            if !fill::<T>(&mut object, missing) {
                break;
            }
        } else {
            errors.add(path, "this object", words);
            break;
        }
    }
    Err(Problem::invalid(errors))
}

/// Tries to make the type: else where it went wrong, and serde's words for it.
fn attempt<T: DeserializeOwned>(object: &Map<String, Value>) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(Value::Object(object.clone()))
        .map_err(|error| (error.path().to_string(), error.inner().to_string()))
}

/// Puts some value of the right type in the place of a missing one, so that what else is wrong can be
/// found.
fn fill<T: DeserializeOwned>(object: &mut Map<String, Value>, field: &str) -> bool {
    let texts = ["", "2000-01-01T00:00:00Z"].map(|text| Value::String(text.to_owned()));
    let plain = [
        0.into(),
        false.into(),
        Value::Array(Vec::new()),
        Value::Object(Map::new()),
    ];
    texts.into_iter().chain(plain).any(|value| {
        object.insert(field.to_owned(), value);
        let fits = match attempt::<T>(object) {
            Ok(_) => true,
            Err((path, _)) => first_word(&path) != field,
        };
        if !fits {
            object.remove(field);
        }
        fits
    })
}

fn refuse_unknown(
    object: &mut Map<String, Value>,
    known: &'static [&'static str],
    errors: &mut FieldErrors,
) {
    let strange: Vec<String> = object
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .cloned()
        .collect();
    for key in strange {
        if errors.iter().len() < ERRORS_MAX {
            let field: String = key.chars().take(FOUND_CHARS_MAX).collect();
            let accepted = format!("only the fields {}", known.join(", "));
            errors.add(field, "a field that cannot be set here", accepted);
        }
        object.remove(&key);
    }
}

fn first_word(field: &str) -> &str {
    field.split(['.', '[']).next().unwrap_or(field)
}

/// serde's sentence for a field that is not there.
fn missing_field(words: &str) -> Option<&str> {
    words
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
        .map(|(field, _)| field)
}

/// What serde expected: "invalid type: string "x", expected u32" says it at the end.
fn accepted(words: &str) -> String {
    match words.rsplit_once("expected ") {
        Some((_, expected)) => expected.to_owned(),
        None => words.to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn bad(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, title)
}

/// Why a text that may be JSON is not taken.
enum Refused {
    Deep,
    Twice(String),
}

/// Builds a value, counting levels and refusing a key that stands twice: two readers of the same
/// text could take a different one of them.
struct Strict<'r> {
    depth: u8,
    refused: &'r Cell<Option<Refused>>,
}

impl<'r> Strict<'r> {
    fn inside<E: serde::de::Error>(&self) -> Result<Self, E> {
        let Some(depth) = self.depth.checked_sub(1) else {
            self.refused.set(Some(Refused::Deep));
            return Err(E::custom("too deep"));
        };
        Ok(Self {
            depth,
            refused: self.refused,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.inside()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                let key = key.chars().take(FOUND_CHARS_MAX).collect();
                self.refused.set(Some(Refused::Twice(key)));
                return Err(serde::de::Error::custom("a key twice"));
            }
            let value = map.next_value_seed(self.inside()?)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Levels of arrays and objects.
pub(super) const DEPTH_MAX: u8 = 32;
/// The sentence of a field that must be there.
const REQUIRED: &str = "a value: this field is required";
/// Wrong fields that one answer names.
const ERRORS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        name: String,
        count: u32,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        port: u16,
    }

    fn problem(text: &str) -> Value {
        serde_json::to_value(parse::<Shape>(text.as_bytes()).unwrap_err()).unwrap()
    }

    fn wrong(text: &str) -> Vec<String> {
        let problem = problem(text);
        let errors = problem["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{problem}"));
        let mut fields: Vec<String> = errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect();
        fields.sort();
        fields
    }

    #[test]
    fn a_good_body_becomes_its_type() {
        let shape: Shape =
            parse(br#" {"name": "a", "count": 2, "inner": [{"port": 1}]} "#).unwrap();
        assert_eq!(
            (shape.name.as_str(), shape.count, shape.inner.len()),
            ("a", 2, 1)
        );
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        assert_eq!(
            wrong(r#"{"name": 1, "on": "x", "id": 7, "role": "admin"}"#),
            ["count", "id", "name", "on", "role"]
        );
        assert_eq!(wrong("{}"), ["count", "name"]);
        assert_eq!(
            wrong(r#"{"name": "a", "count": -1, "inner": [{"port": 70000}]}"#),
            ["count", "inner[0].port"]
        );
        assert_eq!(
            wrong(r#"{"name": "a", "count": 1, "inner": [{"port": 7, "more": 1}]}"#),
            ["inner[0].more"]
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let twice = problem(r#"{"name": "a", "name": "b", "count": 1}"#);
        assert_eq!(twice["code"], "json_key_twice");
        let twice = problem(r#"{"name": "a", "count": 1, "inner": [{"port": 1, "port": 2}]}"#);
        assert_eq!(twice["code"], "json_key_twice");
    }

    #[test]
    fn a_bomb_of_levels_is_refused_before_it_is_built() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
            assert_eq!(problem(&deep)["code"], "json_too_deep");
        }
        let levels = usize::from(DEPTH_MAX);
        let deepest = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        value(deepest.as_bytes()).unwrap();
        value(format!("[{deepest}]").as_bytes()).unwrap_err();
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none() {
        for text in [
            "",
            "{",
            "{\"name\": }",
            "nul",
            "{} {}",
            "\u{feff}{}",
            "{'a': 1}",
        ] {
            assert_eq!(problem(text)["code"], "bad_json", "{text}");
        }
        for text in ["[]", "7", "null", "\"a\""] {
            assert_eq!(problem(text)["status"], 400, "{text}");
        }
        parse::<Shape>(b"\xff").unwrap_err();
    }
}
