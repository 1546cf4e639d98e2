//! Walks a TOML document key by key. Every wrong value becomes a [`Problem`] with its line and the
//! reader goes on with the default, so that all problems are found in one run.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// A document under way: its text, for lines, and its problems so far.
#[derive(Debug)]
pub(super) struct Document<'d> {
    text: &'d str,
    problems: RefCell<Vec<Problem>>,
}

impl<'d> Document<'d> {
    pub(super) const fn new(text: &'d str) -> Self {
        Self {
            text,
            problems: RefCell::new(Vec::new()),
        }
    }

    /// Parses the text; syntax errors become problems.
    pub(super) fn parse(&self) -> Spanned<DeTable<'d>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            self.add(
                self.line(offset),
                String::new(),
                error.message().to_owned(),
                "TOML".to_owned(),
            );
        }
        table
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.text
            .bytes()
            .take(offset)
            .filter(|octet| *octet == b'\n')
            .count()
            + 1
    }

    pub(super) fn add(&self, line: usize, key: String, found: String, accepted: String) {
        self.problems.borrow_mut().push(Problem {
            line,
            key,
            found,
            accepted,
        });
    }

    /// The problems in the order of their lines.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// One table of the document, or an absent one, whose keys all have their defaults.
#[derive(Debug)]
pub(super) struct Reader<'d> {
    document: &'d Document<'d>,
    table: Option<&'d DeTable<'d>>,
    name: String,
    line: usize,
    known: RefCell<Vec<&'static str>>,
}

impl<'d> Reader<'d> {
    pub(super) fn root(document: &'d Document<'d>, table: &'d Spanned<DeTable<'d>>) -> Self {
        Self::new(document, Some(table.get_ref()), String::new(), 1)
    }

    const fn new(
        document: &'d Document<'d>,
        table: Option<&'d DeTable<'d>>,
        name: String,
        line: usize,
    ) -> Self {
        Self {
            document,
            table,
            name,
            line,
            known: RefCell::new(Vec::new()),
        }
    }

    /// The table `key`; absent is an empty one.
    pub(super) fn table(&self, key: &'static str) -> Self {
        let name = self.full(key);
        let Some((span, value)) = self.value(key) else {
            return Self::new(self.document, None, name, self.line);
        };
        if value.as_table().is_none() {
            self.refuse(key, &span, value, "a table");
        }
        Self::new(
            self.document,
            value.as_table(),
            name,
            self.document.line(span.start),
        )
    }

    /// The tables `[[key]]`; absent is none.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some((span, value)) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value else {
            self.refuse(key, &span, value, &format!("tables, each under [[{key}]]"));
            return Vec::new();
        };
        let mut readers = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let name = format!("{}[{}]", self.full(key), index + 1);
            let line = self.document.line(item.span().start);
            match item.get_ref().as_table() {
                Some(table) => readers.push(Self::new(self.document, Some(table), name, line)),
                None => {
                    let found = describe(item.get_ref());
                    self.document.add(line, name, found, "a table".to_owned());
                }
            }
        }
        readers
    }

    /// A text that `parse` takes; absent: `default`.
    pub(super) fn text<T>(
        &self,
        key: &'static str,
        default: T,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        self.optional_text(key, accepted, parse).unwrap_or(default)
    }

    /// A text that `parse` takes; absent or wrong: `None`.
    pub(super) fn optional_text<T>(
        &self,
        key: &'static str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (span, value) = self.value(key)?;
        let parsed = value.as_str().and_then(parse);
        if parsed.is_none() {
            self.refuse(key, &span, value, accepted);
        }
        parsed
    }

    /// A text that must be there; wrong or absent: a problem and `None`.
    pub(super) fn required_text<T>(
        &self,
        key: &'static str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.value(key).is_none() {
            self.missing(key, accepted);
        }
        self.optional_text(key, accepted, parse)
    }

    /// A key that must be there is not.
    pub(super) fn missing(&self, key: &'static str, accepted: &str) {
        self.document.add(
            self.line,
            self.full(key),
            "nothing".to_owned(),
            accepted.to_owned(),
        );
    }

    /// A whole number within a range.
    pub(super) fn whole<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        default: T,
        range: RangeInclusive<i64>,
    ) -> T {
        let Some((span, value)) = self.value(key) else {
            return default;
        };
        let number = whole(value).filter(|number| range.contains(number));
        if let Some(number) = number.and_then(|number| T::try_from(number).ok()) {
            return number;
        }
        let accepted = format!("a whole number from {} to {}", range.start(), range.end());
        self.refuse(key, &span, value, &accepted);
        default
    }

    /// Seconds, with a fraction if wanted.
    pub(super) fn seconds(
        &self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<u32>,
    ) -> Duration {
        let Some((span, value)) = self.value(key) else {
            return default;
        };
        let number = match value.as_float() {
            Some(float) => float.as_str().replace('_', "").parse().ok(),
            None => whole(value)
                .and_then(|number| u32::try_from(number).ok())
                .map(f64::from),
        };
        let bounds = f64::from(*range.start())..=f64::from(*range.end());
        let seconds = number.filter(|number| bounds.contains(number));
        if let Some(duration) =
            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        {
            return duration;
        }
        let accepted = format!("seconds from {} to {}", range.start(), range.end());
        self.refuse(key, &span, value, &accepted);
        default
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some((span, value)) = self.value(key) else {
            return default;
        };
        value.as_bool().unwrap_or_else(|| {
            self.refuse(key, &span, value, "true or false");
            default
        })
    }

    /// A list of texts that `parse` takes; each wrong one is named.
    pub(super) fn texts<T>(
        &self,
        key: &'static str,
        default: Vec<T>,
        accepted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        self.list(key, default, accepted, |value| {
            value.as_str().and_then(&parse)
        })
    }

    /// The same where an absent list is not an empty one.
    pub(super) fn optional_texts<T>(
        &self,
        key: &'static str,
        accepted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.value(key)?;
        Some(self.texts(key, Vec::new(), accepted, parse))
    }

    /// A list of whole numbers within a range.
    pub(super) fn wholes<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        default: Vec<T>,
        range: &RangeInclusive<i64>,
    ) -> Vec<T> {
        let accepted = format!("whole numbers from {} to {}", range.start(), range.end());
        self.list(key, default, &accepted, |value| {
            whole(value)
                .filter(|number| range.contains(number))
                .and_then(|n| T::try_from(n).ok())
        })
    }

    fn list<T>(
        &self,
        key: &'static str,
        default: Vec<T>,
        accepted: &str,
        parse: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some((span, value)) = self.value(key) else {
            return default;
        };
        let DeValue::Array(array) = value else {
            self.refuse(key, &span, value, &format!("a list of {accepted}"));
            return default;
        };
        if array.len() > LIST_ENTRIES_MAX {
            let found = format!("{} entries", array.len());
            let accepted = format!("at most {LIST_ENTRIES_MAX} entries");
            self.document.add(
                self.document.line(span.start),
                self.full(key),
                found,
                accepted,
            );
            return default;
        }
        let mut list = Vec::with_capacity(array.len());
        for item in array.iter() {
            match parse(item.get_ref()) {
                Some(entry) => list.push(entry),
                None => self.refuse(key, &item.span(), item.get_ref(), accepted),
            }
        }
        list
    }

    /// `"word"` or a list of texts.
    pub(super) fn word_or_texts(&self, key: &'static str) -> Option<Result<String, Vec<String>>> {
        let (_, value) = self.value(key)?;
        let Some(word) = value.as_str() else {
            return Some(Err(
                self.texts(key, Vec::new(), "texts", |text| Some(text.to_owned()))
            ));
        };
        Some(Ok(word.to_owned()))
    }

    /// Names the problem of a key whose value was read but does not fit the rest. A key that has a
    /// problem already gets no second one for what follows from it.
    pub(super) fn conflict(&self, key: &'static str, found: &str, accepted: &str) {
        let name = self.full(key);
        if self
            .document
            .problems
            .borrow()
            .iter()
            .any(|problem| problem.key == name)
        {
            return;
        }
        let line = self
            .value(key)
            .map_or(self.line, |(span, _)| self.document.line(span.start));
        self.document
            .add(line, self.full(key), found.to_owned(), accepted.to_owned());
    }

    /// Refuses every key that nobody has asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let found = key.get_ref().as_ref();
            if known.contains(&found) {
                continue;
            }
            let accepted = match nearest(found, &known) {
                Some(nearest) => format!("{nearest} (did you mean that?)"),
                None => format!("the keys {}", known.join(", ")),
            };
            let line = self.document.line(key.span().start);
            let name = self.full(found);
            self.document
                .add(line, name, "an unknown key".to_owned(), accepted);
        }
    }

    fn value(&self, key: &'static str) -> Option<(Range<usize>, &'d DeValue<'d>)> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        // A value without a place is one that the parser made up after a syntax error.
        (!value.span().is_empty()).then(|| (value.span(), value.get_ref()))
    }

    fn refuse(&self, key: &str, span: &Range<usize>, found: &DeValue<'_>, accepted: &str) {
        let line = self.document.line(span.start);
        self.document
            .add(line, self.full(key), describe(found), accepted.to_owned());
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

fn whole(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let short: String = text.chars().take(FOUND_CHARS_MAX).collect();
            format!("\"{}\"", short.escape_debug())
        }
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(array) => format!("a list of {}", array.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The known word that a typing error away, if one is near enough.
pub(crate) fn nearest<'w>(found: &str, known: &[&'w str]) -> Option<&'w str> {
    let bound = if found.chars().count() < 5 { 1 } else { 2 };
    known
        .iter()
        .map(|word| (distance(found, word), *word))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.chars().take(FOUND_CHARS_MAX).enumerate() {
        let mut next = vec![index + 1];
        for (right, above) in other.iter().zip(row.windows(2)) {
            let [diagonal, up] = *above else { continue };
            let before = next.last().copied().unwrap_or(0);
            next.push(
                (diagonal + usize::from(left != *right))
                    .min(up + 1)
                    .min(before + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Entries of one list.
const LIST_ENTRIES_MAX: usize = 10_000;
/// Characters of a wrong value that a message repeats.
const FOUND_CHARS_MAX: usize = 80;
