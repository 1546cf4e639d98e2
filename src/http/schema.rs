//! What the API's document says of a JSON object: each field's type, sentence and example. A test
//! holds every schema against serde: the same names, and an example that parses.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::fields::fields_of;

/// An object of the API.
#[derive(Debug)]
pub(super) struct Schema {
    /// Its name in the document.
    pub(super) name: &'static str,
    /// Its fields, in the order in which they are shown.
    pub(super) fields: &'static [Field],
    /// Fields that it has in common with others, and whether they are always there.
    shared: &'static [Field],
    shared_required: bool,
    /// Further properties, found elsewhere: each the JSON Schema of one, with its example.
    pub(super) more: fn() -> Map<String, Value>,
    /// The names that serde knows; a test compares.
    #[cfg_attr(not(test), expect(dead_code, reason = "asked by tests"))]
    pub(super) known: fn() -> Vec<&'static str>,
    /// Whether a value is of our type; a test gives it the example.
    #[cfg_attr(not(test), expect(dead_code, reason = "asked by tests"))]
    pub(super) parses: fn(&Value) -> Result<(), String>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
    description: &'static str,
    /// As JSON.
    example: &'static str,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A time by RFC 3339.
    Time,
    /// A list of texts.
    Texts,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Another object.
    Object(&'static Schema),
    /// A list of another object.
    Objects(&'static Schema),
    /// Anything.
    Any,
    /// This or null.
    Nullable(&'static Self),
}

impl Schema {
    /// A schema of a type of ours.
    pub(super) const fn of<T: DeserializeOwned>(
        name: &'static str,
        fields: &'static [Field],
    ) -> Self {
        Self {
            name,
            fields,
            shared: &[],
            shared_required: false,
            more: Map::new,
            known: known::<T>,
            parses: parses::<T>,
        }
    }

    /// With these fields, that others have too: always there, or where somebody sends them.
    pub(super) const fn sharing(self, shared: &'static [Field], shared_required: bool) -> Self {
        Self {
            shared,
            shared_required,
            ..self
        }
    }

    /// Each field, and whether it is always there.
    fn all(&self) -> impl Iterator<Item = (&'static Field, bool)> {
        let own = self.fields.iter().map(|field| (field, field.required));
        let required = self.shared_required;
        own.chain(self.shared.iter().map(move |field| (field, required)))
    }

    /// With properties that are found elsewhere; `known` are the names of all.
    pub(super) const fn and(
        self,
        more: fn() -> Map<String, Value>,
        known: fn() -> Vec<&'static str>,
    ) -> Self {
        Self {
            more,
            known,
            ..self
        }
    }

    /// The schema as the document holds it (JSON Schema 2020-12).
    pub(super) fn document(&self) -> Value {
        let mut properties: Map<String, Value> = self
            .all()
            .map(|(field, _)| (field.name.to_owned(), field.document()))
            .collect();
        properties.extend((self.more)());
        let required: Vec<&str> = self
            .all()
            .filter(|(_, required)| *required)
            .map(|(field, _)| field.name)
            .collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
            "example": self.example(),
        })
    }

    /// An object with the example of each field.
    pub(super) fn example(&self) -> Value {
        let mut example: Map<String, Value> = (self.more)()
            .into_iter()
            .map(|(name, property)| {
                let example = property.get("example").cloned().unwrap_or_default();
                (name, example)
            })
            .collect();
        for (field, _) in self.all() {
            example.insert(field.name.to_owned(), field.example());
        }
        example.into()
    }

    /// The schemas that this one names.
    pub(super) fn others(&self) -> impl Iterator<Item = &'static Self> {
        self.all().filter_map(|(field, _)| field.kind.schema())
    }

    /// The names of the fields.
    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<String> {
        let own = self.all().map(|(field, _)| field.name.to_owned());
        own.chain((self.more)().into_iter().map(|(name, _)| name))
            .collect()
    }
}

fn known<T: DeserializeOwned>() -> Vec<&'static str> {
    fields_of::<T>().to_vec()
}

fn parses<T: DeserializeOwned>(value: &Value) -> Result<(), String> {
    T::deserialize(value)
        .map(drop)
        .map_err(|error| error.to_string())
}

impl Field {
    /// A field that is always there. `example` is JSON.
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        description: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            required: true,
            description,
            example,
        }
    }

    /// A field that may be left out.
    pub(super) const fn optional(
        name: &'static str,
        kind: Kind,
        description: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            required: false,
            ..Self::new(name, kind, description, example)
        }
    }

    fn document(&self) -> Value {
        let mut document = self.kind.document();
        if let Some(object) = document.as_object_mut() {
            object.insert("description".to_owned(), self.description.into());
        }
        document
    }

    fn example(&self) -> Value {
        if let (Kind::Object(schema), "") = (self.kind, self.example) {
            return schema.example();
        }
        if let (Kind::Objects(schema), "") = (self.kind, self.example) {
            return json!([schema.example()]);
        }
        serde_json::from_str(self.example).unwrap_or(Value::Null)
    }
}

impl Kind {
    fn document(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Whole => json!({"type": "integer"}),
            Self::Number => json!({"type": "number"}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Object(schema) => reference(schema),
            Self::Objects(schema) => json!({"type": "array", "items": reference(schema)}),
            Self::Any => json!({}),
            Self::Nullable(kind) => json!({"anyOf": [kind.document(), {"type": "null"}]}),
        }
    }

    const fn schema(self) -> Option<&'static Schema> {
        match self {
            Self::Object(schema) | Self::Objects(schema) => Some(schema),
            Self::Nullable(kind) => kind.schema(),
            Self::Text
            | Self::Whole
            | Self::Number
            | Self::Boolean
            | Self::Time
            | Self::Texts
            | Self::Word(_)
            | Self::Any => None,
        }
    }
}

/// Where the document holds a schema.
pub(super) fn reference(schema: &Schema) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", schema.name)})
}
