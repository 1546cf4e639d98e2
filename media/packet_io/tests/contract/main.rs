//! The contract of `PacketIo`, one suite for all: the ring on each rung of the kernel ladder,
//! epoll, and the twin. What a host refuses is said and not tested.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod subject;

mod delivery;
mod pool;
mod sockets;
mod waiting;

use subject::{EpollHost, Subject, Twin, UringFull, UringNoMinWait};

/// Runs each claim against each implementation.
macro_rules! claims {
    ($($module:ident :: $claim:ident,)*) => {
        claims!(@each uring_full UringFull; $($module::$claim,)*);
        claims!(@each uring_no_min_wait UringNoMinWait; $($module::$claim,)*);
        claims!(@each epoll EpollHost; $($module::$claim,)*);
        claims!(@each simulated Twin; $($module::$claim,)*);
    };
    (@each $name:ident $subject:ident; $($module:ident :: $claim:ident,)*) => {
        mod $name {
            $(
                #[test]
                fn $claim() {
                    if let Some(subject) = <super::$subject as super::Subject>::build(crate::subject::SIZES) {
                        crate::$module::$claim(subject);
                    }
                }
            )*
        }
    };
}

claims! {
    sockets::a_port_is_refused_to_a_second_socket,
    sockets::a_closed_port_is_free_at_once,
    sockets::an_address_of_another_host_is_refused,
    sockets::more_sockets_than_configured_are_refused,
    sockets::a_key_of_a_closed_socket_does_no_harm,
    sockets::a_successor_gets_nothing_of_what_came_before,
    sockets::a_connected_socket_hears_only_its_peer,
    sockets::strangers_that_waited_do_not_survive_a_connect,
    sockets::a_peer_that_waited_survives_a_connect,
    sockets::a_socket_can_change_its_peer,
    sockets::switching_under_traffic_loses_nothing_of_the_peer,
    delivery::both_families_are_echoed,
    delivery::packets_of_one_socket_keep_their_order,
    delivery::a_connected_socket_sends_without_an_address,
    delivery::an_empty_datagram_does_not_end_reception,
    delivery::a_flood_of_empty_datagrams_delays_nothing,
    delivery::a_datagram_that_is_too_long_is_counted_and_dropped,
    delivery::the_longest_datagram_is_taken_whole,
    delivery::sends_that_cannot_be_are_counted,
    delivery::one_turn_takes_what_hundreds_of_sockets_have,
    delivery::more_than_a_batch_comes_in_several,
    delivery::a_packet_grows_at_both_ends_before_it_leaves,
    delivery::bursts_to_one_peer_arrive_packet_by_packet,
    pool::a_starved_reader_never_wedges,
    pool::the_reserve_stays_for_what_we_originate,
    pool::a_hundred_thousand_echoes_keep_the_pool_balanced,
    pool::packets_outlive_their_packet_io,
    waiting::a_wait_ends_without_a_packet,
    waiting::a_wait_ends_when_enough_have_come,
    waiting::one_that_suffices_waits_for_no_other,
    waiting::gathering_ends_with_less_than_wanted,
    waiting::a_wake_before_the_wait_is_not_lost,
    waiting::a_wake_from_another_thread_ends_the_wait,
    waiting::a_thousand_wakes_are_answered_and_none_hangs,
}
