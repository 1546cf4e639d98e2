//! The kernel boundary of the media core: sockets, the ring, the packet pool. Knows no RTP.
//!
//! Four invariants; every `SAFETY` line cites the ones it stands on.
//! - `[one-owner]` a buffer is in the pool, in a [`PacketBuf`], or in the kernel, and in one of
//!   them only.
//! - `[until-submitted]` what the kernel holds is not touched before it has given it back (a send
//!   with `MSG_DONTWAIT`: when the submit returns; all else: its last completion).
//! - `[pinned-pool]` pool memory never moves and outlives the ring (field order, tested).
//! - `[one-thread]` a ring and its pool never leave their thread (`!Send`).
