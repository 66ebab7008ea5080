//! What the memory says at any moment, without a lock and without the store.

use std::time::Duration;

use loginradius_proto::session::SessionPolicy;
use loginradius_proto::{AccessToken, ErrorKind};

use crate::world::*;

fn without_early(lifetime: Option<Duration>) -> World {
    let mut world = World::empty();
    world.policy.early = Duration::ZERO;
    world.sign_in(tokens("a1", "r1", lifetime)).nothing();
    world
}

// Early, and the end

#[test]
fn nothing_known_is_looked_up() {
    assert_eq!(World::empty().handout(), "refresh");
    assert!(World::empty().memory.tokens(start(), noon()).is_none());
}

#[test]
fn a_token_is_good_then_early_then_over() {
    let mut world = World::signed_in(600);
    assert_eq!(world.handout(), "good a1");
    world.pass(s(599));
    assert_eq!(world.handout(), "early a1");
    assert_eq!(world.lasts("early"), s(1));
    world.pass(ms(999));
    assert_eq!(world.handout(), "early a1");
    world.pass(ms(1));
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn early_is_a_minute_or_a_tenth_and_up_to_a_quarter_of_it_more() {
    for (lifetime, least, most) in [
        (s(1), ms(100), ms(125)),
        (s(100), s(10), ms(12_500)),
        (s(600), s(60), s(75)),
        (s(86_400), s(60), s(75)),
        (s(360 * 86_400), s(60), s(75)),
    ] {
        let mut world = World::empty();
        let margins: Vec<_> = (0..200)
            .map(|_| {
                world.sign_in(tokens("a1", "r1", Some(lifetime))).nothing();
                lifetime - world.lasts("good")
            })
            .collect();
        let (first, last) = (*margins.iter().min().unwrap(), *margins.iter().max().unwrap());
        // An instant is looked for by the millisecond.
        assert!(first + ms(1) >= least && last <= most + ms(1), "{lifetime:?}: {first:?} to {last:?}");
        assert!(first < least + (most - least) / 10 && last > most - (most - least) / 10, "no jitter at {lifetime:?}");
    }
}

#[test]
fn early_is_what_the_policy_says_if_that_is_less_than_a_tenth() {
    let mut world = World::empty();
    world.policy.early = s(8);
    world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing();
    let margin = s(600) - world.lasts("good");
    assert!(margin + ms(1) >= s(8) && margin <= s(10), "{margin:?}");
}

#[test]
fn early_can_be_turned_off() {
    for lifetime in [s(1), s(600), s(86_400)] {
        let mut world = without_early(Some(lifetime));
        assert_eq!(world.lasts("good"), lifetime);
        world.pass(lifetime);
        assert_eq!(world.handout(), "refresh");
    }
}

#[test]
fn without_a_refresh_token_nothing_is_early() {
    let world = World::with(tokens("a1", "", Some(s(600))));
    assert_eq!(world.lasts("good"), s(600));
}

#[test]
fn the_default_policy_is_documented() {
    let policy = SessionPolicy::default();
    assert_eq!((policy.early, policy.lock_wait, policy.timeout), (s(60), s(30), s(30)));
    assert!(!policy.revoke_with_token_key);
}

#[test]
fn a_lifetime_that_is_unknown_lasts_until_it_is_reported() {
    for lifetime in [None, Some(Duration::ZERO)] {
        let mut world = World::with(tokens("a1", "r1", lifetime));
        world.pass(s(400 * 86_400));
        assert_eq!(world.handout(), "good a1");
        assert_eq!(world.memory.tokens(world.now, world.clock).unwrap().expires_in, None);
        assert!(world.memory.report(&AccessToken::new("a1")));
        assert_eq!(world.handout(), "refresh");
    }
}

#[test]
fn a_huge_lifetime_is_a_long_one() {
    for lifetime in [Duration::MAX, s(u64::MAX), s(u64::MAX / 1000), s(u64::from(u32::MAX) * 1000)] {
        let mut world = World::with(tokens("a1", "r1", Some(lifetime)));
        world.pass(s(10 * 365 * 86_400));
        assert_eq!(world.handout(), "good a1", "{lifetime:?}");
        // Another process reads the same from the store.
        world.memory = Default::default();
        assert_eq!(world.token().token(), "a1");
        assert_eq!(world.log(), "lock, load, unlock");
    }
}

#[test]
fn a_lifetime_of_less_than_the_store_can_tell_is_not_unknown() {
    let mut world = World::with(tokens("a1", "r1", Some(Duration::from_nanos(1))));
    world.pass(ms(1));
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn tokens_tell_what_is_left_of_the_lifetime_by_the_clock_that_says_less() {
    let mut world = World::signed_in(600);
    let left = |world: &World| world.memory.tokens(world.now, world.clock).unwrap().expires_in;
    world.pass(s(100));
    assert_eq!(left(&world), Some(s(500)));
    world.clock += s(50);
    assert_eq!(left(&world), Some(s(450)));
    world.now += s(100);
    assert_eq!(left(&world), Some(s(400)));
    world.pass(HOUR);
    assert_eq!(left(&world), Some(s(0)));
    let tokens = world.memory.tokens(world.now, world.clock).unwrap();
    assert_eq!((tokens.access_token.expose(), tokens.refresh_token.unwrap().expose()), ("a1", "r1"));
    assert_eq!(tokens.requested_at, Some(world.now));
}

// Two clocks

#[test]
fn a_token_is_over_by_the_wall_clock_alone() {
    // So it is after a suspension that stops the monotonic clock.
    let mut world = World::signed_in(600);
    world.clock += s(599);
    assert_eq!(world.handout(), "early a1");
    world.clock += s(1);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_token_is_over_by_the_monotonic_clock_alone() {
    let mut world = World::signed_in(600);
    world.now += s(599);
    assert_eq!(world.handout(), "early a1");
    world.now += s(1);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_clock_that_goes_back_a_little_each_minute_does_not_make_a_token_live_longer() {
    let mut world = World::signed_in(600);
    for _ in 0..10 {
        assert_ne!(world.handout(), "refresh");
        world.pass(s(60));
        world.clock = noon();
    }
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_token_from_the_future_is_not_good_but_clocks_may_differ_by_five_seconds() {
    for (back, handout) in [(0, "good a1"), (4_000, "good a1"), (5_000, "good a1"), (5_001, "refresh")] {
        let mut world = World::signed_in(600);
        world.clock -= ms(back);
        assert_eq!(world.handout(), handout, "{back}");
        // The same for another process.
        world.memory = Default::default();
        if handout == "refresh" {
            world.answers(200, &pair("a2", "r2"));
        }
        let expected = if handout == "refresh" { "a2" } else { "a1" };
        assert_eq!(world.token().token(), expected, "{back}");
    }
}

#[test]
fn a_clock_set_an_hour_forth_or_back_costs_one_refresh() {
    for forth in [true, false] {
        let mut world = World::signed_in(600);
        world.pass(s(10));
        world.clock = if forth { world.clock + HOUR } else { world.clock - HOUR };
        assert_eq!(world.handout(), "refresh");
        world.answers(200, &pair("a2", "r2"));
        assert_eq!(world.token().token(), "a2");
        assert_eq!(world.handout(), "good a2");
        assert!(world.lasts("good") >= s(520));
        world.memory = Default::default();
        assert_eq!(world.token().token(), "a2");
        assert_eq!(world.log(), "lock, load, unlock");
    }
}

#[test]
fn a_clock_set_back_without_a_refresh_token_is_to_be_set_right() {
    let mut world = World::with(tokens("a1", "", Some(s(600))));
    world.clock -= HOUR;
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert!(end.error().to_string().contains("clock"), "{}", end.error());
    assert_eq!(end.events(), "");
    // And once it is right, the token is as good as before.
    world.clock += HOUR;
    assert_eq!(world.handout(), "good a1");
    assert_eq!(world.token().token(), "a1");
}

#[test]
fn a_token_of_unknown_lifetime_from_the_future_is_not_good_either() {
    let mut world = World::with(tokens("a1", "r1", None));
    world.clock -= HOUR;
    assert_eq!(world.handout(), "refresh");
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn a_process_without_memory_counts_by_the_wall_clock_of_the_record() {
    let mut world = World::empty();
    world.policy.early = Duration::ZERO;
    world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing();
    world.pass(s(200));
    world.memory = Default::default();
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.lasts("good"), s(400));
    // From then on the monotonic clock counts too.
    world.now += s(400);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn another_look_into_the_store_does_not_make_a_token_live_longer() {
    let mut world = without_early(Some(s(600)));
    world.pass(s(500));
    // A clock that was set back by less than the leeway would make it younger.
    world.clock = noon();
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(world.lasts("good"), s(100));
}

// Reports

#[test]
fn only_the_newest_token_can_be_reported() {
    let mut world = World::signed_in(600);
    assert!(!world.memory.report(&AccessToken::new("a0")));
    assert_eq!(world.handout(), "good a1");
    assert!(world.memory.report(&AccessToken::new("a1")));
    assert!(world.memory.report(&AccessToken::new("a1")));
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_report_of_an_unknown_token_is_taken_note_of() {
    let mut world = World::signed_in(600);
    world.memory = Default::default();
    assert!(world.memory.report(&AccessToken::new("a1")));
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");

    let mut world = World::signed_in(600);
    world.memory = Default::default();
    assert!(world.memory.report(&AccessToken::new("a0")));
    assert_eq!(world.token().token(), "a1");
}
