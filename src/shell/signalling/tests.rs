//! A turn that panics, in the thread's own loop.

use super::*;
use crate::call::tests::world::{World, trunk};

fn core(control: CallControl) -> (Core, mpsc::Receiver<Record>) {
    let (questions, _asked) = mpsc::channel(8);
    let (records, recorded) = mpsc::channel(8);
    let core = Core {
        control,
        senders: Vec::new(),
        media: Vec::new(),
        questions,
        records,
        records_waiting: VecDeque::new(),
        echoes: VecDeque::new(),
        buffer: SendBuffer::new(),
        status: Arc::default(),
        panics: Arc::default(),
        drained: false,
        dirty: false,
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
