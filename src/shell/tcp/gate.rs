//! Who opens a connection, by the snapshot of the moment: a first look, before anything is read.
//!
//! Call control judges each message as it does each datagram. This look only decides what a
//! connection may cost until then.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sip::event::Flow;

use crate::call::snapshot::Snapshot;
use crate::sources::admission::{Admitted, admit, admit_flow};
use crate::trunks::model::Transport;

/// The snapshot that connections are held against.
#[derive(Debug, Default)]
pub struct Gate(ArcSwap<Snapshot>);

/// What a connection is, before its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A trunk that is reached by TCP: its connection is kept.
    Trunk,
    /// Somebody else that is known.
    Known,
    /// Nobody.
    Stranger,
}

impl Gate {
    /// A new snapshot replaces the old one. Connections that are open stay.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        self.0.store(snapshot);
    }

    /// True where this is an address of a trunk's, whatever transport it is set to: what is too long for
    /// a datagram goes there by TCP as well.
    pub(super) fn is_trunk(&self, remote: SocketAddr) -> bool {
        let snapshot = self.0.load();
        let admitted = admit(&snapshot.trunks, &snapshot.sources, remote);
        matches!(admitted, Some(Admitted::Trunk(_)))
    }

    pub(super) fn judge(&self, flow: Flow) -> Peer {
        let snapshot = self.0.load();
        match admit_flow(&snapshot.trunks, &snapshot.sources, flow) {
            Some(Admitted::Trunk(trunk)) if trunk.transport == Transport::Tcp => Peer::Trunk,
            Some(Admitted::Trunk(_) | Admitted::Source(_)) => Peer::Known,
            None => Peer::Stranger,
        }
    }
}
