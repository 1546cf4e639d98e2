//! The link store's twin: a table in memory that answers after a while, late, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice::call::event::Ticket;
use sluice::links::model::{Destination, VideoPolicy};
use sluice::links::resolve::{ResolveRefusal, ResolvedLink};

use crate::random::Generator;

/// What call control asks the store.
#[derive(Debug)]
pub(crate) enum Question {
    /// A link.
    Resolve {
        /// To be answered with.
        ticket: Ticket,
        /// User part of the Request-URI.
        user: String,
    },
    /// Numbers for aliases.
    Aliases {
        /// How many.
        count: u32,
    },
}

/// What the store says.
#[derive(Debug)]
pub(crate) enum Reply {
    /// About a link.
    Resolved {
        /// The question.
        ticket: Ticket,
        /// The answer.
        outcome: Box<Result<ResolvedLink, ResolveRefusal>>,
    },
    /// Numbers that were never used.
    Aliases {
        /// The first.
        first: u64,
        /// How many.
        count: u32,
    },
}

/// The table and its mood.
#[derive(Debug)]
pub(crate) struct Store {
    links: BTreeMap<String, Result<ResolvedLink, ResolveRefusal>>,
    delay_max: Duration,
    /// Paths about which it never says anything.
    silent: Vec<String>,
    /// Questions in a thousand that get no answer.
    mute: u32,
    /// Questions in a thousand that the store is too busy for.
    unavailable: u32,
    next_alias: u64,
    random: Generator,
}

impl Store {
    /// A store that answers everything within `delay_max`.
    pub(crate) const fn new(delay_max: Duration, random: Generator) -> Self {
        Self {
            links: BTreeMap::new(),
            silent: Vec::new(),
            delay_max,
            mute: 0,
            unavailable: 0,
            next_alias: 1,
            random,
        }
    }

    /// Faults, in a thousand questions about links.
    pub(crate) const fn with_faults(mut self, mute: u32, unavailable: u32) -> Self {
        self.mute = mute;
        self.unavailable = unavailable;
        self
    }

    /// Never says anything about this path.
    pub(crate) fn ignore(&mut self, path: &str) {
        self.silent.push(path.to_owned());
    }

    /// Adds a link, or what the store says in its place.
    pub(crate) fn add(&mut self, path: &str, outcome: Result<ResolvedLink, ResolveRefusal>) {
        let _ = self.links.insert(path.to_owned(), outcome);
    }

    /// The answer and how long it takes; `None`: never.
    pub(crate) fn answer(&mut self, question: Question) -> Option<(Duration, Reply)> {
        let most = u64::try_from(self.delay_max.as_micros()).unwrap_or(0);
        let after = self.random.micros(0, most);
        let reply = match question {
            Question::Resolve { ticket, user } => {
                if self.random.chance(self.mute) || self.silent.contains(&user) {
                    return None;
                }
                let outcome = if self.random.chance(self.unavailable) {
                    Err(ResolveRefusal::Unavailable)
                } else {
                    self.links
                        .get(&user)
                        .cloned()
                        .unwrap_or(Err(ResolveRefusal::Unknown))
                };
                Reply::Resolved {
                    ticket,
                    outcome: Box::new(outcome),
                }
            }
            Question::Aliases { count } => {
                let first = self.next_alias;
                self.next_alias += u64::from(count);
                Reply::Aliases { first, count }
            }
        };
        Some((after, reply))
    }
}

/// A link with the defaults of a product that nobody has configured.
pub(crate) fn link(path: &str, destination: Destination) -> ResolvedLink {
    ResolvedLink {
        link: Some(1),
        request_path: path.to_owned(),
        destination,
        caller_name: "Guest".to_owned(),
        caller_alias: "guest".to_owned(),
        unique_alias: false,
        unique_alias_separator: '.',
        trunk: None,
        display_name: String::new(),
        auto_call_after_s: None,
        video_policy: VideoPolicy::SendRecv,
        allow_custom_caller_name: false,
        named_by_guest: false,
        named_by_link: true,
        valid_after: None,
        valid_before: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_aliases_never_overlap() {
        let mut store = Store::new(Duration::from_millis(5), Generator::new(1, "store"));
        let mut next = 1;
        for _ in 0..3 {
            let reply = store.answer(Question::Aliases { count: 10 });
            let Some((_, Reply::Aliases { first, count })) = reply else {
                panic!("no block")
            };
            assert_eq!((first, count), (next, 10));
            next += 10;
        }
    }

    #[test]
    fn path_that_was_not_added_is_unknown() {
        let mut store = Store::new(Duration::ZERO, Generator::new(1, "store"));
        let question = Question::Resolve {
            ticket: Ticket(1),
            user: "nobody".to_owned(),
        };
        let Some((_, Reply::Resolved { outcome, .. })) = store.answer(question) else {
            panic!("no answer")
        };
        assert_eq!(*outcome, Err(ResolveRefusal::Unknown));
    }
}
