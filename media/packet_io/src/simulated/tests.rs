use std::net::SocketAddr;
use std::time::Instant;

use super::*;

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn spec(port: u16) -> SocketSpec {
    SocketSpec {
        local: at(port),
        dscp: 46,
        receive_buffer_bytes: 0,
    }
}

fn drain<F: Faults>(twin: &mut Simulated<F>) -> Vec<Received> {
    let mut batch = ReceivedBatch::new();
    twin.submit_and_wait(Instant::now(), Wait::none(Instant::now()));
    twin.receive(&mut batch);
    batch.packets
}

#[derive(Debug, Default)]
struct Script {
    opens: u64,
    refuse_open_number: Option<u64>,
    refuses_allocation: bool,
    starves: bool,
    send: Option<SendFault>,
}

impl Faults for Script {
    fn refuse_open(&mut self, _local: SocketAddr) -> Option<OpenRefused> {
        self.opens += 1;
        (Some(self.opens) == self.refuse_open_number).then_some(OpenRefused::DescriptorLimit)
    }
    fn refuse_allocation(&mut self) -> bool {
        self.refuses_allocation
    }
    fn starve_reception(&mut self) -> bool {
        self.starves
    }
    fn fail_send(&mut self, _from: SocketAddr, _to: SocketAddr) -> Option<SendFault> {
        self.send
    }
}

#[test]
fn a_forwarded_datagram_goes_from_delivery_to_take_sent() {
    let mut twin = Simulated::new(SimulatedConfig::default());
    let socket = twin.open(spec(10_000)).expect("free port");
    assert_eq!(twin.deliver(at(10_000), at(5), b"hello"), Delivery::Queued);
    assert_eq!(
        twin.deliver(at(10_001), at(5), b"hello"),
        Delivery::NoSocket
    );
    for received in drain(&mut twin) {
        assert_eq!((received.socket, received.source), (socket, Some(at(5))));
        twin.send(received.packet, socket, received.source);
    }
    let mut sent = Vec::new();
    twin.take_sent(|_, _, bytes| sent.push(bytes.to_vec()));
    assert!(sent.is_empty(), "nothing leaves before the submit");
    assert!(drain(&mut twin).is_empty());
    twin.take_sent(|from, to, bytes| {
        assert_eq!((from, to), (at(10_000), at(5)));
        sent.push(bytes.to_vec());
    });
    assert_eq!(sent, [b"hello"]);
    assert_eq!(
        twin.pool_counts(),
        PoolCounts {
            free: 1024,
            held: 0,
            in_kernel: 0
        }
    );
}

#[test]
fn the_nth_open_is_refused_and_the_next_is_not() {
    let faults = Script {
        refuse_open_number: Some(2),
        ..Script::default()
    };
    let mut twin = Simulated::with_faults(SimulatedConfig::default(), faults);
    twin.open(spec(1)).expect("free port");
    assert_eq!(twin.open(spec(2)), Err(OpenRefused::DescriptorLimit));
    twin.open(spec(2)).expect("free port");
}

#[test]
fn failed_sends_are_counted_and_their_buffers_return() {
    let mut twin = Simulated::with_faults(SimulatedConfig::default(), Script::default());
    let socket = twin.open(spec(1)).expect("free port");
    for fault in [SendFault::WouldBlock, SendFault::Failed] {
        twin.faults_mut().send = Some(fault);
        let mut packet = twin.allocate().expect("a full pool");
        packet.set_len(12).expect("it fits");
        twin.send(packet, socket, Some(at(9)));
        drain(&mut twin);
    }
    let counters = twin.counters();
    assert_eq!((counters.sends_would_block, counters.sends_failed), (1, 1));
    assert_eq!(twin.pool_counts().free, 1024);
    twin.take_sent(|_, _, _| panic!("nothing left"));
}

#[test]
fn a_starved_reception_loses_nothing_and_goes_on() {
    let mut twin = Simulated::with_faults(SimulatedConfig::default(), Script::default());
    twin.open(spec(1)).expect("free port");
    twin.faults_mut().starves = true;
    twin.faults_mut().refuses_allocation = true;
    assert_eq!(twin.deliver(at(1), at(2), b"x"), Delivery::Queued);
    assert!(drain(&mut twin).is_empty());
    assert!(twin.allocate().is_none());
    assert_eq!(twin.counters().allocations_refused, 1);
    assert_eq!(
        (twin.arrived_count(), twin.counters().receive_buffers_empty),
        (1, 1)
    );
    twin.faults_mut().starves = false;
    assert_eq!(drain(&mut twin).len(), 1);
}

#[test]
fn a_full_socket_queue_loses_what_comes_after() {
    let config = SimulatedConfig {
        socket_queue_max: 2,
        ..SimulatedConfig::default()
    };
    let mut twin = Simulated::new(config);
    twin.open(spec(1)).expect("free port");
    let fates = [0, 1, 2].map(|octet| twin.deliver(at(1), at(2), &[octet]));
    assert_eq!(
        fates,
        [Delivery::Queued, Delivery::Queued, Delivery::QueueFull]
    );
    assert_eq!(drain(&mut twin).len(), 2);
    assert_eq!(twin.deliver(at(1), at(2), b"x"), Delivery::Queued);
}

#[test]
fn the_wildcard_address_takes_what_no_other_socket_does() {
    let mut twin = Simulated::new(SimulatedConfig::default());
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7));
    twin.open(SocketSpec {
        local: any,
        ..spec(0)
    })
    .expect("free port");
    assert_eq!(twin.open(spec(7)), Err(OpenRefused::AddressInUse));
    assert_eq!(twin.deliver(at(7), at(2), b"x"), Delivery::Queued);
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 7));
    let other_family = SocketSpec {
        local: six,
        ..spec(0)
    };
    twin.open(other_family)
        .expect("the families do not exclude each other");
}

#[test]
fn an_icmp_error_costs_a_connected_socket_one_retry() {
    let mut twin = Simulated::new(SimulatedConfig::default());
    let socket = twin.open(spec(1)).expect("free port");
    twin.deliver_unreachable(at(1), at(2));
    assert_eq!(twin.counters().icmp_errors, 0);
    twin.connect(socket, Some(at(2)));
    twin.deliver_unreachable(at(1), at(2));
    let mut packet = twin.allocate().expect("a full pool");
    packet.set_len(12).expect("it fits");
    twin.send(packet, socket, None);
    drain(&mut twin);
    assert_eq!(
        (twin.counters().icmp_errors, twin.counters().sends_retried),
        (1, 1)
    );
    let mut sent = 0;
    twin.take_sent(|_, _, _| sent += 1);
    assert_eq!(sent, 1);
}

#[test]
fn it_tells_what_the_worker_waits_for() {
    let mut twin = Simulated::new(SimulatedConfig::default());
    assert_eq!(twin.waits(), None);
    let wait = Wait {
        want: 5,
        ..Wait::none(Instant::now())
    };
    twin.waker().wake();
    assert!(twin.is_woken());
    twin.submit_and_wait(Instant::now(), wait);
    assert_eq!(twin.waits(), Some(wait));
    assert!(!twin.is_woken());
    assert_eq!(twin.counters().wakes, 1);
}
