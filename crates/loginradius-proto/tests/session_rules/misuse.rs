//! What a driver may do wrong. `Scene::run` gives stray inputs too, and asks for each step twice.

use std::time::Duration;

use loginradius_proto::session::{LoadError, Now, SaveError, SessionFlow, SessionInput, SessionStep};
use loginradius_proto::{Error, ErrorKind};

use loginradius_testing::*;

fn done(scene: &Scene, flow: &mut SessionFlow) -> Result<Option<String>, ErrorKind> {
    match flow.step(scene.now) {
        SessionStep::Done(end) => {
            end.result.map(|token| token.map(|token| token.expose().to_owned())).map_err(|error| error.kind())
        }
        step => panic!("{step:?}"),
    }
}

fn stray() -> [SessionInput; 13] {
    [
        SessionInput::Locked(Ok(true)),
        SessionInput::Locked(Ok(false)),
        SessionInput::Locked(Err(full_disk())),
        SessionInput::Loaded(Ok(None)),
        SessionInput::Loaded(Err(LoadError::Failed(full_disk()))),
        SessionInput::Responded(Ok(response(200, pair("stray", "stray")))),
        SessionInput::Responded(Err(Error::outcome_unknown("stray"))),
        SessionInput::LockLapsed,
        SessionInput::Saved(Ok(())),
        SessionInput::Saved(Err(SaveError::Conflict)),
        SessionInput::Saved(Err(SaveError::Failed(full_disk()))),
        SessionInput::Saved(Err(SaveError::Unknown(full_disk()))),
        SessionInput::Unlocked,
    ]
}

#[test]
fn inputs_before_the_first_step_are_ignored() {
    let mut scene = Scene::signed_in(600);
    let mut flow = scene.refresh_flow();
    let before = format!("{flow:?}");
    for input in stray() {
        flow.receive(input, scene.now);
    }
    assert_eq!(format!("{flow:?}"), before);
    assert_eq!(scene.run(flow).token(), "a1");
    assert_eq!(scene.log(), "lock, load, unlock");
}

#[test]
fn the_end_is_returned_once() {
    let mut scene = Scene::signed_in(600);
    let mut flow = scene.refresh_flow();
    for input in [SessionInput::Locked(Ok(true)), SessionInput::Loaded(Ok(scene.stored.clone()))] {
        let _ = flow.step(scene.now);
        flow.receive(input, scene.now);
    }
    let _ = flow.step(scene.now);
    flow.receive(SessionInput::Unlocked, scene.now);
    assert_eq!(done(&scene, &mut flow), Ok(Some("a1".to_owned())));
    for input in stray() {
        flow.receive(input, scene.now);
        assert_eq!(done(&scene, &mut flow), Err(ErrorKind::AlreadyCompleted));
    }
}

#[test]
fn an_end_that_was_returned_leaves_the_same_memory_and_no_events() {
    let mut scene = Scene::empty();
    let mut flow = scene.refresh_flow();
    let _ = flow.step(scene.now);
    flow.receive(SessionInput::Locked(Err(full_disk())), scene.now);
    assert_eq!(done(&scene, &mut flow), Err(ErrorKind::Unavailable));
    let SessionStep::Done(end) = flow.step(scene.now) else { panic!("no end") };
    assert!(end.events.is_empty());
    assert_eq!(format!("{:?}", end.memory), format!("{:?}", scene.memory));
    scene.pass(HOUR);
    assert_eq!(done(&scene, &mut flow), Err(ErrorKind::AlreadyCompleted));
}

#[test]
fn a_step_before_its_time_says_until_when_to_wait() {
    let mut scene = Scene::expired();
    let mut flow = scene.refresh_flow();
    let _ = flow.step(scene.now);
    flow.receive(SessionInput::Locked(Ok(false)), scene.now);
    let _ = flow.step(scene.now);
    flow.receive(SessionInput::Peeked(None), scene.now);
    let SessionStep::Wait(until) = flow.step(scene.now) else { panic!("no wait") };
    for early in [Duration::ZERO, ms(1), ms(2), ms(0)] {
        let SessionStep::Wait(again) = flow.step(Now::new(scene.now.monotonic + early, scene.now.wall)) else {
            panic!("too early")
        };
        assert_eq!(again, until);
    }
    assert!(matches!(flow.step(Now::new(until, scene.now.wall)), SessionStep::Lock));
    // A clock of another thread may be behind.
    assert!(matches!(flow.step(Now::new(until - ms(1), scene.now.wall)), SessionStep::Lock));
}

#[test]
fn a_late_step_continues() {
    let mut scene = Scene::expired();
    scene.lost();
    scene.on("wait", |scene| {
        scene.pass(s(20));
        None
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn a_response_after_the_deadline_is_ignored() {
    let mut scene = Scene::expired();
    scene.policy.retry.attempts = 2;
    scene.policy.timeout = s(5);
    scene.on("send", |_| None);
    scene.on("wait", |scene| {
        // The response comes after the deadline, while the flow waits for its next attempt.
        scene.pass(s(5));
        scene.on("wait", |_| responded(Ok(response(200, pair("late", "late")))));
        None
    });
    scene.on("send", |_| None);
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.sends(), 2);
    assert_eq!(scene.record()["refresh_token"], "r1");
}

#[test]
fn a_clone_of_a_flow_continues_by_itself() {
    let mut scene = Scene::signed_in(600);
    let flow = scene.refresh_flow();
    let other = flow.clone();
    assert_eq!(scene.run(flow).token(), "a1");
    assert_eq!(scene.run(other).token(), "a1");
}

#[test]
fn extreme_settings_do_not_overflow() {
    for time in [Duration::ZERO, Duration::MAX] {
        let mut scene = Scene::empty();
        scene.policy.early = time;
        scene.policy.lock_wait = time;
        // With a timeout of zero a request is over as soon as it is sent.
        scene.policy.timeout = time.max(ms(1));
        scene.policy.retry = loginradius_proto::Retry::OFF.with_attempts(2).with_first_wait(time).with_max_wait(time);
        scene.start(tokens("a1", "r1", Some(s(600)))).ok();
        scene.pass(HOUR);
        scene.lost();
        assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
        assert_eq!(scene.cached(), "backing off unavailable");
        scene.start(tokens("b1", "q1", Some(s(600)))).ok();
        assert_eq!(scene.refresh().token(), "b1");
    }
}

#[test]
fn a_wall_clock_before_1970_is_no_panic() {
    let mut scene = Scene::empty();
    scene.now.wall = std::time::SystemTime::UNIX_EPOCH - HOUR;
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    // A record has no times before 1970, and so the token seems to come from the future.
    scene.responds(200, &pair("a2", "r2"));
    let _ = scene.refresh();
    scene.now.wall = now().wall;
    scene.pass(HOUR);
    scene.responds(200, &pair("a3", "r3"));
    assert_eq!(scene.refresh().token(), "a3");
}

#[test]
fn a_flow_with_a_timeout_of_zero_ends() {
    let mut scene = Scene::expired();
    scene.policy.timeout = Duration::ZERO;
    (0..4).for_each(|_| scene.on("send", |_| None));
    let flow = scene.refresh_flow();
    assert_eq!(scene.drive(flow, |_, _, _| {}).kind(), ErrorKind::Unavailable);
    assert_eq!(scene.sends(), 4);
}
