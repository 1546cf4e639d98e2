//! What is wrong with a submitted object: every wrong field by name, all at once. Owns the shape
//! only; the rules are in each `model` beside what they judge.

use std::fmt;

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name on the wire, such as `request_path`.
    pub field: String,
    /// What was found, cut to [`FOUND_CHARS_MAX`] characters.
    pub found: String,
    /// What is accepted, as the end of the sentence "accepted: …".
    pub accepted: String,
}

/// Every wrong field of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

/// Characters of a wrong value that a message repeats.
pub const FOUND_CHARS_MAX: usize = 80;

impl FieldErrors {
    /// Nothing wrong yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one wrong field.
    pub fn add(&mut self, field: impl Into<String>, found: &str, accepted: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            found: found.chars().take(FOUND_CHARS_MAX).collect(),
            accepted: accepted.into(),
        });
    }

    /// True when nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The wrong fields, in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// The names of the wrong fields, in the order they were found.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        self.0.iter().map(|error| error.field.as_str()).collect()
    }

    /// `value` when nothing is wrong, else the errors.
    ///
    /// # Errors
    /// The collected errors, when there is one.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            found,
            accepted,
        } = self;
        write!(
            formatter,
            "{field}: found `{}`, accepted: {accepted}",
            found.escape_debug()
        )
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
