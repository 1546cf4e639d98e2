//! The named rules in the form in which they are asked: every list in one tree, a book beside each
//! rule that counts.

use std::collections::BTreeMap;

use super::book::{Book, Ticks};
use super::dial_plan::Classified;
use super::number::international;
use super::numbering::Region;
use super::rule::{RULES_MAX, Rule, Scope};
use super::trie::{Fit, Fits, RuleIndex, Trie};
use super::verdict::Attempt;

/// Rules and their books.
#[derive(Debug)]
pub(super) struct Compiled {
    entries: Vec<Entry>,
    trie: Trie,
    countries: BTreeMap<Region, Vec<RuleIndex>>,
    /// Rules that name no numbers and no countries, in their order.
    anywhere: Vec<RuleIndex>,
    /// Rules whose book has rows that end.
    keyed: Vec<RuleIndex>,
    serial_last: u32,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    book: Book,
    /// Names the book for those who hold something in it.
    serial: u32,
}

/// The rules that concern one attempt.
#[derive(Debug)]
pub(super) struct Named {
    /// In their order.
    pub(super) applies: Vec<RuleIndex>,
    /// How well each rule names what is dialled, or what it means.
    meant: Fits,
    /// How well it names what it means in E.164, or that it names the whole text that is dialled:
    /// access codes say nothing about a range.
    meaning: Fits,
}

impl Named {
    /// An allow rule names the number, not only something that it could be read as.
    pub(super) fn allows(&self, index: RuleIndex) -> bool {
        self.meant.of(index) > 0
    }

    /// How well it does, in octets of E.164.
    pub(super) fn fit(&self, index: RuleIndex) -> Fit {
        self.meaning.of(index)
    }
}

impl Default for Compiled {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            trie: Trie::new(),
            countries: BTreeMap::new(),
            anywhere: Vec::new(),
            keyed: Vec::new(),
            serial_last: 0,
        }
    }
}

impl Compiled {
    /// New rules; the books of those that stay go on.
    pub(super) fn replace(
        &mut self,
        rules: &[Rule],
        seed: u64,
        mut new: impl FnMut(&Rule, &mut Book),
    ) {
        let mut old = std::mem::take(&mut self.entries);
        self.trie = Trie::new();
        self.countries.clear();
        self.anywhere.clear();
        self.keyed.clear();
        for rule in rules.iter().filter(|rule| rule.enabled).take(RULES_MAX) {
            let kept = old
                .iter()
                .position(|entry| entry.rule.id == rule.id && Book::carries_over(&entry.rule, rule))
                .map(|position| old.swap_remove(position));
            let (book, serial) = match kept {
                Some(entry) => (entry.book, entry.serial),
                None => {
                    self.serial_last += 1;
                    let mut book = Book::of(&rule.kind, seed);
                    new(rule, &mut book);
                    (book, self.serial_last)
                }
            };
            self.add(rule.clone(), book, serial);
        }
    }

    fn add(&mut self, rule: Rule, book: Book, serial: u32) {
        let index = RuleIndex::try_from(self.entries.len()).unwrap_or(RuleIndex::MAX);
        for number in &rule.scope.numbers {
            self.trie.add(number.text(), number.is_prefix(), index);
        }
        for country in &rule.scope.countries {
            self.countries.entry(*country).or_default().push(index);
        }
        if rule.scope.numbers.is_empty() && rule.scope.countries.is_empty() {
            self.anywhere.push(index);
        }
        if rule.kind.is_keyed() {
            self.keyed.push(index);
        }
        self.entries.push(Entry { rule, book, serial });
    }

    pub(super) fn len(&self) -> RuleIndex {
        RuleIndex::try_from(self.entries.len()).unwrap_or(RuleIndex::MAX)
    }

    pub(super) fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.entries
            .get(usize::from(index))
            .map(|entry| &entry.rule)
    }

    pub(super) fn entry(&self, index: RuleIndex) -> Option<(&Rule, u32, &Book)> {
        let entry = self.entries.get(usize::from(index))?;
        Some((&entry.rule, entry.serial, &entry.book))
    }

    pub(super) fn entry_mut(&mut self, index: RuleIndex) -> Option<(&Rule, u32, &mut Book)> {
        let entry = self.entries.get_mut(usize::from(index))?;
        Some((&entry.rule, entry.serial, &mut entry.book))
    }

    /// The rule and the book of a serial number; both may be gone.
    pub(super) fn of_serial(&mut self, serial: u32) -> Option<(&Rule, &mut Book)> {
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.serial == serial)?;
        Some((&entry.rule, &mut entry.book))
    }

    pub(super) fn books(&self) -> impl Iterator<Item = (u32, &Book)> {
        self.entries.iter().map(|entry| (entry.serial, &entry.book))
    }

    /// Drops rows that are over.
    pub(super) fn purge(&mut self, now: Ticks) {
        for index in &self.keyed {
            if let Some(entry) = self.entries.get_mut(usize::from(*index)) {
                entry.book.purge(now);
            }
        }
    }

    /// Every rule that concerns the attempt: by the text that is dialled, by what it means, and, for
    /// all rules but those that allow, by everything it could be read as.
    pub(super) fn find(&self, user: &str, classified: &Classified, attempt: &Attempt<'_>) -> Named {
        let mut meant = Fits::default();
        self.trie.find(user, &mut meant);
        let mut meaning = meant.whole(user.len());
        let mut readings = classified.readings.iter();
        if let Some(first) = readings.next() {
            self.trie.find(first.as_str(), &mut meaning);
            self.of_country(first.region, &mut meaning);
        }
        meant.raise_all(&meaning);
        let mut read = meant.clone();
        for reading in readings {
            self.trie.find(reading.as_str(), &mut read);
            self.of_country(reading.region, &mut read);
        }
        if !user.starts_with('+')
            && let Some(digits) = international(user)
        {
            // `00` is written as `+` in every list, whatever the dial plan says.
            self.trie.find(&format!("+{digits}"), &mut read);
        }
        let mut applies: Vec<RuleIndex> =
            self.anywhere.iter().copied().chain(read.rules()).collect();
        applies.sort_unstable();
        applies.retain(|index| {
            self.rule(*index)
                .is_some_and(|rule| concerns(&rule.scope, attempt))
        });
        for index in &self.anywhere {
            meant.raise(*index, ANYWHERE);
        }
        Named {
            applies,
            meant,
            meaning,
        }
    }

    fn of_country(&self, region: Region, fits: &mut Fits) {
        for index in self.countries.get(&region).into_iter().flatten() {
            fits.raise(*index, ANYWHERE);
        }
    }
}

/// A country, or everything: less than any digit.
const ANYWHERE: Fit = 1;

fn concerns(scope: &Scope, attempt: &Attempt<'_>) -> bool {
    let way = scope.ways.is_empty() || scope.ways.contains(&attempt.way);
    let trunk = scope.trunks.is_empty() || scope.trunks.iter().any(|id| id == attempt.trunk);
    let network = scope.networks.is_empty()
        || attempt.client.is_some_and(|client| {
            scope
                .networks
                .iter()
                .any(|network| network.contains(client))
        });
    way && trunk && network
}
