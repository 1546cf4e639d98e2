//! A turn that panics and a peer that is not there, in the thread's own loop.

use super::*;
use crate::call::tests::world::{World, trunk};

fn core(control: CallControl) -> (Core, mpsc::Receiver<Record>) {
    let (questions, _asked) = mpsc::channel(8);
    let (records, recorded) = mpsc::channel(8);
    let core = Core {
        control,
        senders: Vec::new(),
        streams: Streams::none(),
        media: Vec::new(),
        questions,
        store: None,
        records,
        records_waiting: VecDeque::new(),
        echoes: VecDeque::new(),
        buffer: SendBuffer::new(),
        waiting: Waiting::default(),
        guests: guests::pair(Arc::new(Wake::new().unwrap())).1,
        send_failed: false,
        status: Arc::default(),
        panics: Arc::default(),
        drained: false,
        dirty: false,
        figures: Figures::default(),
        heard: 0,
        capture: None,
    };
    (core, recorded)
}

#[test]
fn panic_ends_one_call_and_a_second_one_within_a_minute_drains_the_node() {
    let mut world = World::new(vec![trunk(1)]);
    for call in ["one", "two", "three"] {
        world.answered(call);
    }
    let pairs: Vec<_> = world.legs.keys().copied().collect();
    let (mut core, _recorded) = core(world.control);
    let mut ended = Vec::new();
    for pair in [pairs[0], pairs[2]] {
        core.control.fault = Some(0);
        let report = media::command::Report::Silent { pair };
        core.feed(Input::Report { report });
        core.expire();
        let live = core.control.counters().calls_active;
        ended.push((live, core.panics.total(), core.drained));
    }
    assert_eq!(ended, [(2, 1, false), (1, 2, true)]);
}

#[test]
fn port_that_icmp_calls_closed_fails_its_flow_and_no_other() {
    let socket = super::super::udp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let local = socket.local_addr().unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let remote = closed.local_addr().unwrap();
    drop(closed);
    let alive = UdpSocket::bind("127.0.0.1:0").unwrap();
    let flow = |remote| Flow {
        transport: Transport::Udp,
        local,
        remote,
    };
    let (mut core, _recorded) = core(World::new(Vec::new()).control);
    core.senders.push((local, socket.try_clone().unwrap()));
    let mut ports = [(local, UdpPort::new(socket).unwrap())];
    core.buffer.push(b"x");
    core.send(flow(remote));
    core.send(flow(alive.local_addr().unwrap()));
    assert_eq!(alive.recv_from(&mut [0; 8]).unwrap(), (1, local));
    let wait = Some(TimeSpec::from_duration(Duration::from_secs(5)));
    if !core.send_failed {
        let polled = PollFd::new(ports[0].1.descriptor(), PollFlags::POLLIN);
        ppoll(&mut [polled], wait, None).unwrap();
    }
    alive.send_to(b"behind", local).unwrap();
    core.receive(&mut ports);
    let failed: Vec<_> = core
        .echoes
        .iter()
        .map(|echo| match echo {
            Echo::TransportFailed(flow) => flow.remote,
            Echo::ConnectRefused(_)
            | Echo::Resolved(..)
            | Echo::Unresolved(_)
            | Echo::NoAliases
            | Echo::GuestGone(_) => local,
        })
        .collect();
    assert_eq!(failed, [remote]);
    core.receive(&mut ports);
    assert_eq!(
        core.control.counters().unknown_source,
        1,
        "read nevertheless"
    );
}
