//! Whatever a driver does wrong. The harness of the other rules gives stray inputs and asks again at every step, too.

use std::time::Duration;

use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionFlow, SessionInput, SessionStep};
use loginradius_proto::{Error, ErrorKind};

use crate::world::*;

fn done(world: &World, flow: &mut SessionFlow) -> Result<Option<String>, ErrorKind> {
    match flow.step(world.now, world.clock) {
        SessionStep::Done(end) => {
            end.result.map(|token| token.map(|token| token.expose().to_owned())).map_err(|error| error.kind())
        }
        step => panic!("{step:?}"),
    }
}

fn stray() -> [SessionInput; 12] {
    [
        SessionInput::Locked(Ok(true)),
        SessionInput::Locked(Ok(false)),
        SessionInput::Locked(Err(full_disk())),
        SessionInput::Loaded(LoadOutcome::Nothing),
        SessionInput::Loaded(LoadOutcome::Failed(full_disk())),
        SessionInput::Answered(Ok(answer(200, &pair("stray", "stray")))),
        SessionInput::Answered(Err(Error::lost("stray"))),
        SessionInput::Saved(SaveOutcome::Saved),
        SessionInput::Saved(SaveOutcome::Conflict),
        SessionInput::Saved(SaveOutcome::Failed(full_disk())),
        SessionInput::Saved(SaveOutcome::Unknown(full_disk())),
        SessionInput::Unlocked,
    ]
}

#[test]
fn inputs_before_the_first_step_are_ignored() {
    let mut world = World::signed_in(600);
    let mut flow = world.token_flow();
    let before = format!("{flow:?}");
    for input in stray() {
        flow.receive(input, world.now, world.clock);
    }
    assert_eq!(format!("{flow:?}"), before);
    assert_eq!(world.run(flow).token(), "a1");
    assert_eq!(world.log(), "lock, load, unlock");
}

#[test]
fn the_end_is_said_once() {
    let mut world = World::signed_in(600);
    let mut flow = world.token_flow();
    for input in
        [SessionInput::Locked(Ok(true)), SessionInput::Loaded(LoadOutcome::from_json(&world.record().to_string()))]
    {
        let _ = flow.step(world.now, world.clock);
        flow.receive(input, world.now, world.clock);
    }
    let _ = flow.step(world.now, world.clock);
    flow.receive(SessionInput::Unlocked, world.now, world.clock);
    assert_eq!(done(&world, &mut flow), Ok(Some("a1".to_owned())));
    for input in stray() {
        flow.receive(input, world.now, world.clock);
        assert_eq!(done(&world, &mut flow), Err(ErrorKind::Finished));
    }
}

#[test]
fn an_end_that_was_said_leaves_the_same_memory_and_no_events() {
    let mut world = World::empty();
    let mut flow = world.token_flow();
    let _ = flow.step(world.now, world.clock);
    flow.receive(SessionInput::Locked(Err(full_disk())), world.now, world.clock);
    assert_eq!(done(&world, &mut flow), Err(ErrorKind::TryLater));
    let SessionStep::Done(end) = flow.step(world.now, world.clock) else { panic!("it goes on") };
    assert!(end.events.is_empty());
    assert_eq!(format!("{:?}", end.memory), format!("{:?}", world.memory));
    world.pass(HOUR);
    assert_eq!(done(&world, &mut flow), Err(ErrorKind::Finished));
}

#[test]
fn a_step_before_its_time_says_until_when_to_wait() {
    let mut world = World::expired();
    let mut flow = world.token_flow();
    let _ = flow.step(world.now, world.clock);
    flow.receive(SessionInput::Locked(Ok(false)), world.now, world.clock);
    let SessionStep::Wait(until) = flow.step(world.now, world.clock) else { panic!("no wait") };
    for early in [Duration::ZERO, ms(1), ms(2), ms(0)] {
        let SessionStep::Wait(again) = flow.step(world.now + early, world.clock) else { panic!("too early") };
        assert_eq!(again, until);
    }
    assert!(matches!(flow.step(until, world.clock), SessionStep::Lock));
    // A clock of another thread may be behind.
    assert!(matches!(flow.step(until - ms(1), world.clock), SessionStep::Lock));
}

#[test]
fn a_late_step_goes_on() {
    let mut world = World::expired();
    world.lost();
    world.on("wait", |world| {
        world.pass(s(20));
        None
    });
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn an_answer_after_the_deadline_is_none() {
    let mut world = World::expired();
    world.policy.retry.attempts = 2;
    world.policy.timeout = s(5);
    let mut flow = world.token_flow();
    let mut sends = 0;
    loop {
        let input = match flow.step(world.now, world.clock) {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Load => SessionInput::Loaded(LoadOutcome::from_json(&world.record().to_string())),
            SessionStep::Save { record, .. } => {
                world.stored = Stored::Record(record.to_json());
                SessionInput::Saved(SaveOutcome::Saved)
            }
            SessionStep::Send { .. } => {
                sends += 1;
                world.pass(s(5));
                let SessionStep::Wait(_) = flow.step(world.now, world.clock) else { break };
                // It comes while the flow waits for its next attempt.
                SessionInput::Answered(Ok(answer(200, &pair("late", "late"))))
            }
            SessionStep::Wait(until) => {
                world.pass(until - world.now);
                continue;
            }
            SessionStep::Unlock => SessionInput::Unlocked,
            step => panic!("{step:?}"),
        };
        flow.receive(input, world.now, world.clock);
    }
    assert_eq!(sends, 2);
    assert_eq!(world.record()["refresh_token"], "r1");
}

#[test]
fn a_clone_of_a_flow_goes_on_by_itself() {
    let mut world = World::signed_in(600);
    let flow = world.token_flow();
    let other = flow.clone();
    assert_eq!(world.run(flow).token(), "a1");
    assert_eq!(world.run(other).token(), "a1");
}

#[test]
fn settings_beyond_all_measure_do_no_harm() {
    for time in [Duration::ZERO, Duration::MAX] {
        let mut world = World::empty();
        world.policy.early = time;
        world.policy.lock_wait = time;
        // With a timeout of nothing a request is over as soon as it is sent.
        world.policy.timeout = time.max(ms(1));
        world.policy.retry = loginradius_proto::Retry { attempts: 2, first_wait: time, longest_wait: time };
        world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing();
        world.pass(HOUR);
        world.lost();
        assert_eq!(world.token().kind(), ErrorKind::TryLater);
        assert_eq!(world.handout(), "held try_later");
        world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing();
        assert_eq!(world.token().token(), "b1");
    }
}

#[test]
fn a_clock_before_1970_does_no_harm() {
    let mut world = World::empty();
    world.clock = std::time::SystemTime::UNIX_EPOCH - HOUR;
    world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing();
    // A record cannot tell a time before 1970, and so the token seems to come from the future.
    world.answers(200, &pair("a2", "r2"));
    let _ = world.token();
    world.clock = noon();
    world.pass(HOUR);
    world.answers(200, &pair("a3", "r3"));
    assert_eq!(world.token().token(), "a3");
}

#[test]
fn a_timeout_of_nothing_ends() {
    let mut world = World::expired();
    world.policy.timeout = Duration::ZERO;
    let mut flow = world.token_flow();
    let mut sends = 0;
    for _ in 0..100 {
        let input = match flow.step(world.now, world.clock) {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Load => SessionInput::Loaded(LoadOutcome::from_json(&world.record().to_string())),
            SessionStep::Save { record, .. } => {
                world.stored = Stored::Record(record.to_json());
                SessionInput::Saved(SaveOutcome::Saved)
            }
            SessionStep::Send { .. } => {
                sends += 1;
                continue;
            }
            SessionStep::Wait(until) => {
                world.pass(until.saturating_duration_since(world.now));
                continue;
            }
            SessionStep::Clear { .. } => panic!("nothing is cleared"),
            SessionStep::Unlock => SessionInput::Unlocked,
            SessionStep::Done(end) => {
                assert_eq!(end.result.unwrap_err().kind(), ErrorKind::TryLater);
                assert_eq!(sends, 4);
                return;
            }
        };
        flow.receive(input, world.now, world.clock);
    }
    panic!("no end");
}
