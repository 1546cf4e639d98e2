//! The wall clock is set while calls are up.

use std::time::Duration;

use jiff::SignedDuration;

use super::world::{World, trunk};

#[test]
fn a_clock_set_by_an_hour_makes_no_call_shorter_or_longer() {
    for hours in [-1, 1] {
        let mut world = World::new(vec![trunk(1)]);
        world.answered("c1");
        world.now.timestamp += SignedDuration::from_hours(hours);
        world.pass(Duration::from_secs(30));
        world.phone("BYE", "c1", 2, "");
        let call = world.closed()[0].clone();
        let talk = call.at.duration_since(call.answered_at.unwrap());
        assert_eq!(talk, SignedDuration::from_secs(30), "{hours} h");
        let attempt = world.attempts()[0].clone();
        let talk = attempt.at.duration_since(attempt.answered_at.unwrap());
        assert_eq!(talk, SignedDuration::from_secs(30), "{hours} h");
        assert!(attempt.ringing_at <= attempt.answered_at);
    }
}

#[test]
fn the_next_call_has_the_new_time() {
    let mut world = World::new(vec![trunk(1)]);
    world.answered("c1");
    world.now.timestamp += SignedDuration::from_hours(-1);
    let set = world.now.timestamp;
    world.answered("c2");
    world.phone("BYE", "c2", 2, "");
    assert_eq!(world.closed()[0].at, set);
}
