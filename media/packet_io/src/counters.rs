//! `IoCounters`: what the boundary saw and why packets died here. Plain numbers of one thread; who
//! publishes them is the worker's business.

/// A struct of counters, each with its label and its meaning: both are taken from the source, so that none
/// is without.
#[macro_export]
macro_rules! counters {
    ($(#[$about:meta])* pub struct $struct:ident; $($(#[doc = $doc:literal])* $name:ident,)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $struct {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl $struct {
            /// The label of each counter, and what it means to who reads it.
            pub const MEANINGS: &[(&str, &str)] = &[
                $((stringify!($name), concat!($($doc),*).trim_ascii()),)*
            ];

            /// Each counter with its stable label.
            pub fn each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit(stringify!($name), self.$name);)*
            }
        }
    };
}

counters! {
    /// Counts since the start of one [`PacketIo`](crate::PacketIo). Never reset.
    pub struct IoCounters;

    /// Datagrams handed to the worker.
    packets_received,
    /// Datagrams taken for sending (those that then failed are counted below as well).
    packets_sent,
    /// Received and dropped: no octet in it.
    empty_datagrams,
    /// Received and dropped: longer than a buffer takes.
    truncated_datagrams,
    /// Received and dropped: came from another source before the socket was connected.
    stranger_datagrams,
    /// Received and dropped: its socket was closed meanwhile.
    stale_datagrams,
    /// Received and dropped: no buffer was free while the socket was being connected.
    datagrams_without_buffer,
    /// Errors of earlier sends that ICMP reported on a connected socket.
    icmp_errors,
    /// Receptions that failed in another way.
    receive_errors,
    /// Receptions that ended for want of a buffer; datagrams wait in the sockets meanwhile.
    receive_buffers_empty,
    /// Receptions started again after they had ended.
    receives_rearmed,
    /// `allocate` found the pool empty.
    allocations_refused,
    /// Sends dropped: no address given and the socket has no peer.
    sends_without_peer,
    /// Sends dropped: the socket was closed before.
    sends_to_closed_socket,
    /// Sends dropped: the datagram had no octet.
    sends_empty,
    /// Sends dropped: socket or device queue full.
    sends_would_block,
    /// Sends that failed by an earlier packet's ICMP error and were tried again.
    sends_retried,
    /// Sends dropped: the second try failed by an ICMP error, too.
    sends_refused,
    /// Sends dropped: any other error (no route, too long, forbidden).
    sends_failed,
    /// Of the packets sent, how many left together with others to the same peer (`UDP_SEGMENT`).
    segments_sent,
    /// Runs of packets that a path did not carry together: they left one by one.
    segments_refused,
    /// Sends dropped: the queue to the kernel was full and did not move.
    sends_queue_full,
    /// Sockets that could not be connected.
    connects_failed,
    /// Waits that a wake-up ended.
    wakes,
    /// System calls that submitted, waited or looked.
    kernel_entries,
    /// Of these, how many failed for a reason of the kernel's. Not zero: look at the host.
    kernel_entries_failed,
    /// Completions that belong to nothing we know. Not zero: a fault of ours.
    unknown_completions,
}
