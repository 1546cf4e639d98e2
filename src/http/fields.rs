//! The names that serde knows for the fields of a type, asked of serde itself.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// The fields of a struct, as serde names them; empty for what is no struct.
pub(crate) fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let fields = Cell::new(&[][..]);
    let asked = T::deserialize(Probe(&fields));
    debug_assert!(asked.is_err(), "the probe gives no value");
    drop(asked);
    fields.get()
}

/// Notes which fields are asked for, and gives none.
struct Probe<'p>(&'p Cell<&'static [&'static str]>);

/// What the probe always ends with.
#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("asked")
    }
}

impl std::error::Error for Asked {}

impl Error for Asked {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Asked> {
        Err(Asked)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        self.0.set(fields);
        Err(Asked)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only the names are asked for")]
    struct Shape {
        one: u8,
        #[serde(rename = "2")]
        two: u8,
    }

    #[test]
    fn serde_is_asked_for_its_names() {
        assert_eq!(fields_of::<Shape>(), ["one", "2"]);
        assert!(fields_of::<String>().is_empty());
        assert!(fields_of::<Vec<Shape>>().is_empty());
    }
}
