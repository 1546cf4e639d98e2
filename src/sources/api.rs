//! The JSON shapes of sources: the keys of a `[[source]]` table, with the place in the order.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::{LinkAccess, Source};
use crate::config::source_of_object;
use crate::field_errors::FieldErrors;

/// A source as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceView {
    /// For logs and CDRs.
    pub name: String,
    /// Networks.
    pub networks: Vec<String>,
    /// `"all"`, `"none"` or a list of request paths.
    pub links: Value,
    /// It may dial route strings that no link names.
    pub ad_hoc: bool,
    /// Phones of the registrar are there.
    pub registers: bool,
    /// `off`, `preferred` or `required`.
    pub srtp: String,
    /// Its place, from 1: the first source that matches a packet counts.
    pub position: usize,
}

/// All sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceList {
    /// In their order.
    pub sources: Vec<SourceView>,
}

impl SourceView {
    /// The source at a place, counted from 0.
    #[must_use]
    pub fn new(index: usize, source: &Source) -> Self {
        Self {
            name: source.name.clone(),
            networks: source.networks.iter().map(ToString::to_string).collect(),
            links: match &source.links {
                LinkAccess::All => "all".into(),
                LinkAccess::None => "none".into(),
                LinkAccess::Listed(paths) => paths.clone().into(),
            },
            ad_hoc: source.ad_hoc,
            registers: source.registers,
            srtp: source.srtp.to_string(),
            position: index + 1,
        }
    }
}

impl SourceList {
    /// Sources in their order.
    #[must_use]
    pub fn new(sources: &[Source]) -> Self {
        let views = sources
            .iter()
            .enumerate()
            .map(|(index, source)| SourceView::new(index, source));
        Self {
            sources: views.collect(),
        }
    }
}

/// A source of the object that somebody sent, and the place that it asks for, counted from 0.
///
/// # Errors
/// Every wrong field.
pub fn draft(mut object: Map<String, Value>) -> Result<(Source, Option<usize>), FieldErrors> {
    let mut errors = FieldErrors::new();
    let mut position = None;
    if let Some(asked) = object.remove("position").filter(|asked| !asked.is_null()) {
        let whole = asked.as_u64().and_then(|place| usize::try_from(place).ok());
        position = whole.and_then(|place| place.checked_sub(1));
        if position.is_none() {
            errors.add(
                "position",
                &asked.to_string(),
                "a place in the list, from 1",
            );
        }
    }
    match source_of_object(object) {
        Ok(source) => errors.or((source, position)),
        Err(wrong) => {
            for error in wrong.iter() {
                errors.add(error.field.clone(), &error.found, error.accepted.clone());
            }
            Err(errors)
        }
    }
}

/// A stored source with the change that somebody sent: what is absent stays.
///
/// # Errors
/// Every wrong field.
pub fn changed(
    index: usize,
    stored: &Source,
    change: Map<String, Value>,
) -> Result<(Source, usize), FieldErrors> {
    let mut object = match serde_json::to_value(SourceView::new(index, stored)) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => Map::new(),
    };
    object.extend(change);
    let (source, position) = draft(object)?;
    Ok((source, position.unwrap_or(index)))
}
