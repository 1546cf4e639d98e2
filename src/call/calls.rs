//! The calls by their keys: nearly every step of a call looks its own up, several times.
//!
//! A key names its place, so that finding a call is one look. Places are the endpoint's, and as bounded.

use sip::event::CallKey;

use super::one_call::Call;

/// All calls whose key still lives.
#[derive(Debug, Default)]
pub(super) struct Calls {
    places: Vec<Option<(CallKey, Box<Call>)>>,
}

impl Calls {
    pub(super) fn get(&self, key: &CallKey) -> Option<&Call> {
        let (known, call) = self.places.get(place(key))?.as_ref()?;
        (known == key).then_some(&**call)
    }

    pub(super) fn get_mut(&mut self, key: &CallKey) -> Option<&mut Call> {
        let (known, call) = self.places.get_mut(place(key))?.as_mut()?;
        (known == key).then_some(&mut **call)
    }

    pub(super) fn contains_key(&self, key: &CallKey) -> bool {
        self.get(key).is_some()
    }

    /// A call under a fresh key. The endpoint gives a place away again only after it has said that
    /// its call is gone.
    pub(super) fn insert(&mut self, key: CallKey, call: Box<Call>) {
        let place = place(&key);
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        if let Some(room) = self.places.get_mut(place) {
            debug_assert!(room.is_none(), "a place has one call");
            *room = Some((key, call));
        }
    }

    pub(super) fn remove(&mut self, key: &CallKey) -> Option<Box<Call>> {
        let room = self.places.get_mut(place(key))?;
        let (_, call) = room.take_if(|(known, _)| known == key)?;
        Some(call)
    }

    /// In the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&CallKey, &Call)> {
        let taken = self.places.iter().flatten();
        taken.map(|(key, call)| (key, &**call))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Call> {
        self.iter().map(|(_, call)| call)
    }
}

fn place(key: &CallKey) -> usize {
    usize::try_from(key.0.index).unwrap_or(usize::MAX)
}
