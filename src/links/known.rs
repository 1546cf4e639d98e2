//! Links that calls have asked for since the last change of any link: the next call to one of them
//! need not wait for the database.
//!
//! Only what is there is known, never that something is not: who tries many paths fills nothing. A
//! change makes everything unknown, before whoever made it hears that it is done.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::model::Link;

/// The links known.
#[derive(Debug, Default)]
pub(crate) struct KnownLinks {
    /// Grows with each change of a link.
    generation: AtomicU64,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    /// Of everything in `by_path`.
    generation: u64,
    by_path: HashMap<Box<str>, Arc<Link>>,
}

/// When a link was about to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl KnownLinks {
    /// To be taken before a link is read: a change that comes while it is read is a later one.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    /// A link has changed, or may have.
    pub(crate) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The link of a request path, where it is known.
    pub(crate) fn get(&self, path: &str) -> Option<Arc<Link>> {
        let Generation(now) = self.generation();
        let links = self.links();
        let known = links.by_path.get(path);
        known.filter(|_| links.generation == now).map(Arc::clone)
    }

    /// The link of a request path, as it was read after `read`.
    pub(crate) fn keep(&self, read: Generation, path: &str, link: &Link) {
        if read != self.generation() {
            return;
        }
        let mut links = self.links();
        if links.generation != read.0 || links.by_path.len() >= KNOWN_MAX {
            links.by_path.clear();
            links.generation = read.0;
        }
        links.by_path.insert(path.into(), Arc::new(link.clone()));
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Links that are known at once: some hundred octets each. One more, and they begin anew.
const KNOWN_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::model::{self, Destination};

    fn link(id: i64) -> Link {
        model::tests::link(id, "a", Destination::Echo)
    }

    #[test]
    fn what_was_read_is_known_until_a_link_changes() {
        let known = KnownLinks::default();
        assert_eq!(known.get("a"), None);
        known.keep(known.generation(), "a", &link(1));
        assert_eq!(known.get("a").unwrap().id, 1);
        assert_eq!(known.get("b"), None);
        known.forget();
        assert_eq!(known.get("a"), None);
        known.keep(known.generation(), "b", &link(2));
        assert_eq!(known.get("b").unwrap().id, 2);
        assert_eq!(known.get("a"), None, "of before the change");
    }

    #[test]
    fn what_was_read_before_a_change_is_never_kept_after_it() {
        let known = KnownLinks::default();
        let before = known.generation();
        known.forget();
        known.keep(before, "a", &link(1));
        assert_eq!(known.get("a"), None);
        // Read before the change, kept before it, asked for after it.
        known.keep(known.generation(), "a", &link(2));
        known.forget();
        known.keep(before, "a", &link(1));
        assert_eq!(known.get("a"), None);
    }

    #[test]
    fn there_is_a_bound() {
        let known = KnownLinks::default();
        for number in 0..=KNOWN_MAX {
            known.keep(known.generation(), &number.to_string(), &link(1));
            assert!(known.links().by_path.len() <= KNOWN_MAX);
        }
        assert_eq!(known.links().by_path.len(), 1);
    }
}
