//! One object as a table: a row for each field, nested ones with their path.

use std::io;

use serde::Serialize;
use serde_json::Value;

/// The rows of an object; those named in `order` first.
pub(super) fn rows(object: &impl Serialize, order: &[&str]) -> io::Result<Vec<[String; 2]>> {
    let value = serde_json::to_value(object)?;
    let mut rows = Vec::new();
    let Some(fields) = value.as_object() else {
        return Ok(rows);
    };
    for name in order {
        if let Some(value) = fields.get(*name) {
            flatten(name, value, &mut rows);
        }
    }
    for (name, value) in fields {
        if !order.contains(&name.as_str()) {
            flatten(name, value, &mut rows);
        }
    }
    Ok(rows)
}

/// `attempts[1].trunk`, and its value.
fn flatten(name: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                flatten(&format!("{name}.{key}"), value, rows);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (index, value) in list.iter().enumerate() {
                flatten(&format!("{name}[{}]", index + 1), value, rows);
            }
        }
        Value::Array(list) => {
            let words: Vec<String> = list.iter().map(plain).collect();
            rows.push([name.to_owned(), words.join(" ")]);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            rows.push([name.to_owned(), plain(value)]);
        }
    }
}

/// A text as it is, null as nothing, the rest as JSON.
pub(super) fn plain(value: &Value) -> String {
    if let Value::String(text) = value {
        return text.clone();
    }
    if value.is_null() {
        return String::new();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_fields_have_their_path_and_named_ones_come_first() {
        let object = json!({"a": [1, 2], "b": {"x": null}, "c": [{"y": "z"}]});
        let rows = rows(&object, &["c", "none"]).unwrap();
        let expected = [["c[1].y", "z"], ["a", "1 2"], ["b.x", ""]];
        assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
    }
}
