//! What the memory says at any moment, without a lock and without the store.

use std::time::Duration;

use loginradius_proto::session::SessionPolicy;
use loginradius_proto::{AccessToken, ErrorKind};

use loginradius_testing::*;

fn without_early(lifetime: Option<Duration>) -> Scene {
    let mut scene = Scene::empty();
    scene.policy.early = Duration::ZERO;
    scene.start(tokens("a1", "r1", lifetime)).ok();
    scene
}

// When a refresh is due, and the end

#[test]
fn an_empty_memory_has_no_token() {
    assert_eq!(Scene::empty().cached(), "missing");
    assert!(Scene::empty().memory.tokens(now()).is_none());
}

#[test]
fn a_token_is_fresh_then_due_then_expired() {
    let mut scene = Scene::signed_in(600);
    assert_eq!(scene.cached(), "fresh a1");
    scene.pass(s(599));
    assert_eq!(scene.cached(), "refresh due a1");
    assert_eq!(scene.lasts("refresh due"), s(1));
    scene.pass(ms(999));
    assert_eq!(scene.cached(), "refresh due a1");
    scene.pass(ms(1));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_refresh_is_due_a_minute_or_a_tenth_before_the_end_and_up_to_a_quarter_of_it_earlier() {
    for (lifetime, min, max) in [
        // A second at least, for the refresh to end in time; a quarter of what is shorter.
        (ms(100), ms(25), ms(31)),
        (s(1), ms(250), ms(312)),
        (s(3), ms(750), ms(937)),
        (s(4), s(1), ms(1_250)),
        (s(10), s(1), ms(1_250)),
        (s(20), s(2), ms(2_500)),
        (s(100), s(10), ms(12_500)),
        (s(600), s(60), s(75)),
        (s(86_400), s(60), s(75)),
        (s(360 * 86_400), s(60), s(75)),
    ] {
        let mut scene = Scene::empty();
        let margins: Vec<_> = (0..200)
            .map(|_| {
                // The same login again would be adopted.
                (scene.memory, scene.stored) = Default::default();
                scene.start(tokens("a1", "r1", Some(lifetime))).ok();
                lifetime - scene.lasts("fresh")
            })
            .collect();
        let (first, last) = (*margins.iter().min().unwrap(), *margins.iter().max().unwrap());
        // An instant is looked for by the millisecond.
        assert!(first + ms(1) >= min && last <= max + ms(1), "{lifetime:?}: {first:?} to {last:?}");
        assert!(first < min + (max - min) / 10 && last > max - (max - min) / 10, "no jitter at {lifetime:?}");
    }
}

#[test]
fn a_refresh_is_due_when_the_policy_says_if_that_is_less_than_a_tenth() {
    let mut scene = Scene::empty();
    scene.policy.early = s(8);
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    let margin = s(600) - scene.lasts("fresh");
    assert!(margin + ms(1) >= s(8) && margin <= s(10), "{margin:?}");
}

#[test]
fn early_refreshes_can_be_turned_off() {
    for lifetime in [s(1), s(600), s(86_400)] {
        let mut scene = without_early(Some(lifetime));
        assert_eq!(scene.lasts("fresh"), lifetime);
        scene.pass(lifetime);
        assert_eq!(scene.cached(), "missing");
    }
}

#[test]
fn without_a_refresh_token_no_refresh_is_due() {
    let scene = Scene::with(tokens("a1", "", Some(s(600))));
    assert_eq!(scene.lasts("fresh"), s(600));
}

#[test]
fn the_default_policy_is_documented() {
    let policy = SessionPolicy::default();
    assert_eq!((policy.early, policy.lock_wait, policy.timeout), (s(60), s(30), s(30)));
}

#[test]
fn a_lifetime_that_is_unknown_lasts_until_the_token_is_rejected() {
    let mut scene = Scene::with(tokens("a1", "r1", None));
    scene.pass(s(400 * 86_400));
    assert_eq!(scene.cached(), "fresh a1");
    assert_eq!(scene.memory.tokens(scene.now).unwrap().expires_in, None);
    assert!(scene.memory.reject(&AccessToken::new("a1")));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_lifetime_that_is_over_already_yields_no_token() {
    let mut scene = Scene::with(tokens("a1", "r1", Some(Duration::ZERO)));
    assert_eq!(scene.cached(), "missing");
    // In another process too.
    scene.memory = Default::default();
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");

    let mut scene = Scene::with(tokens("a1", "", Some(Duration::ZERO)));
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
}

#[test]
fn a_server_whose_tokens_are_over_already_is_asked_once_a_second_at_most() {
    for lifetime in ["0", "-1", "\"-3600\""] {
        let mut scene = Scene::expired();
        let body = format!(r#"{{"access_token":"a2","refresh_token":"r2","expires_in":{lifetime}}}"#);
        scene.responds(200, &body);
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{lifetime}");
        assert_eq!((scene.sends(), end.error().retry_after()), (1, Some(s(1))), "{lifetime}");
        assert_eq!(scene.record()["refresh_token"], "r2", "{lifetime}");
        scene.pass(ms(999));
        assert!(scene.cached().starts_with("backing off"), "{}", scene.cached());
        scene.pass(ms(1));
        assert_eq!(scene.cached(), "missing", "{lifetime}");
    }
}

#[test]
fn a_huge_lifetime_does_not_overflow() {
    for lifetime in [Duration::MAX, s(u64::MAX), s(u64::MAX / 1000), s(u64::from(u32::MAX) * 1000)] {
        let mut scene = Scene::with(tokens("a1", "r1", Some(lifetime)));
        scene.pass(s(10 * 365 * 86_400));
        assert_eq!(scene.cached(), "fresh a1", "{lifetime:?}");
        // Another process reads the same from the store.
        scene.memory = Default::default();
        assert_eq!(scene.refresh().token(), "a1");
        assert_eq!(scene.log(), "lock, load, unlock");
    }
}

#[test]
fn a_lifetime_below_a_millisecond_is_not_unknown() {
    let mut scene = Scene::with(tokens("a1", "r1", Some(Duration::from_nanos(1))));
    scene.pass(ms(1));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn expires_in_is_what_is_left_by_the_clock_that_is_ahead() {
    let mut scene = Scene::signed_in(600);
    let left = |scene: &Scene| scene.memory.tokens(scene.now).unwrap().expires_in;
    scene.pass(s(100));
    assert_eq!(left(&scene), Some(s(500)));
    scene.now.wall += s(50);
    assert_eq!(left(&scene), Some(s(450)));
    scene.now.monotonic += s(100);
    assert_eq!(left(&scene), Some(s(400)));
    scene.pass(HOUR);
    assert_eq!(left(&scene), Some(s(0)));
    let tokens = scene.memory.tokens(scene.now).unwrap();
    assert_eq!((tokens.access_token.expose(), tokens.refresh_token.unwrap().expose()), ("a1", "r1"));
    assert_eq!(tokens.requested_at, Some(scene.now.monotonic));
}

#[test]
fn a_user_is_signed_in_until_the_session_ends_whether_the_token_is_good_or_not() {
    assert!(!Scene::empty().memory.is_signed_in());
    let mut scene = Scene::expired();
    assert!(scene.memory.is_signed_in());
    scene.memory.reject(&AccessToken::new("a1"));
    assert!(scene.memory.is_signed_in());
    scene.policy.retry.attempts = 1;
    scene.lost();
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert!(scene.memory.is_signed_in());
    scene.pass(HOUR);
    scene.responds(400, REJECTED);
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
    assert!(!scene.memory.is_signed_in());
}

#[test]
fn a_token_expires_when_its_lifetime_counted_from_its_request_is_over() {
    assert_eq!(Scene::empty().memory.expires_at(), None);
    assert_eq!(Scene::with(tokens("a1", "r1", None)).memory.expires_at(), None);
    let mut scene = Scene::signed_in(600);
    let end = scene.now.wall + s(600);
    scene.pass(s(100));
    assert_eq!(scene.memory.expires_at(), Some(end));
    // Another process reads the same from the store.
    scene.memory = Default::default();
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.memory.expires_at(), Some(end));
    scene.forget().ok();
    assert_eq!(scene.memory.expires_at(), None);
}

// Two clocks

#[test]
fn a_token_expires_by_the_wall_clock_alone() {
    // As after a suspension in which the monotonic clock stands still.
    let mut scene = Scene::signed_in(600);
    scene.now.wall += s(599);
    assert_eq!(scene.cached(), "refresh due a1");
    scene.now.wall += s(1);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_token_expires_by_the_monotonic_clock_alone() {
    let mut scene = Scene::signed_in(600);
    scene.now.monotonic += s(599);
    assert_eq!(scene.cached(), "refresh due a1");
    scene.now.monotonic += s(1);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_clock_that_goes_back_a_little_each_minute_does_not_make_a_token_live_longer() {
    let mut scene = Scene::signed_in(600);
    for _ in 0..10 {
        assert_ne!(scene.cached(), "missing");
        scene.pass(s(60));
        scene.now.wall = now().wall;
    }
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_token_from_the_future_is_not_fresh_but_clocks_may_differ_by_five_seconds() {
    for (back, cached) in [(0, "fresh a1"), (4_000, "fresh a1"), (5_000, "fresh a1"), (5_001, "missing")] {
        let mut scene = Scene::signed_in(600);
        scene.now.wall -= ms(back);
        assert_eq!(scene.cached(), cached, "{back}");
        // The same for another process.
        scene.memory = Default::default();
        if cached == "missing" {
            scene.responds(200, &pair("a2", "r2"));
        }
        let expected = if cached == "missing" { "a2" } else { "a1" };
        assert_eq!(scene.refresh().token(), expected, "{back}");
    }
}

#[test]
fn a_clock_set_an_hour_forth_or_back_costs_one_refresh() {
    for forth in [true, false] {
        let mut scene = Scene::signed_in(600);
        scene.pass(s(10));
        scene.now.wall = if forth { scene.now.wall + HOUR } else { scene.now.wall - HOUR };
        assert_eq!(scene.cached(), "missing");
        scene.responds(200, &pair("a2", "r2"));
        assert_eq!(scene.refresh().token(), "a2");
        assert_eq!(scene.cached(), "fresh a2");
        assert!(scene.lasts("fresh") >= s(520));
        scene.memory = Default::default();
        assert_eq!(scene.refresh().token(), "a2");
        assert_eq!(scene.log(), "lock, load, unlock");
    }
}

#[test]
fn without_a_refresh_token_a_clock_that_was_set_back_is_an_error() {
    let mut scene = Scene::with(tokens("a1", "", Some(s(600))));
    scene.now.wall -= HOUR;
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert!(end.error().to_string().contains("clock"), "{}", end.error());
    assert_eq!(end.events(), "");
    // Once the clock is corrected, the token is as fresh as before.
    scene.now.wall += HOUR;
    assert_eq!(scene.cached(), "fresh a1");
    assert_eq!(scene.refresh().token(), "a1");
}

#[test]
fn a_token_of_unknown_lifetime_from_the_future_is_not_fresh_either() {
    let mut scene = Scene::with(tokens("a1", "r1", None));
    scene.now.wall -= HOUR;
    assert_eq!(scene.cached(), "missing");
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn a_process_without_memory_counts_by_the_wall_clock_of_the_record() {
    let mut scene = Scene::empty();
    scene.policy.early = Duration::ZERO;
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    scene.pass(s(200));
    scene.memory = Default::default();
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.lasts("fresh"), s(400));
    // From then on the monotonic clock counts too.
    scene.now.monotonic += s(400);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn loading_a_token_again_does_not_make_it_live_longer() {
    let mut scene = without_early(Some(s(600)));
    scene.pass(s(500));
    // A clock that was set back by less than the leeway would make it younger.
    scene.now.wall = now().wall;
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(scene.lasts("fresh"), s(100));
}

// Rejected access tokens

#[test]
fn only_the_newest_token_can_be_rejected() {
    let mut scene = Scene::signed_in(600);
    assert!(!scene.memory.reject(&AccessToken::new("a0")));
    assert_eq!(scene.cached(), "fresh a1");
    assert!(scene.memory.reject(&AccessToken::new("a1")));
    assert!(scene.memory.reject(&AccessToken::new("a1")));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_rejection_of_an_unknown_token_is_remembered() {
    let mut scene = Scene::signed_in(600);
    scene.memory = Default::default();
    assert!(scene.memory.reject(&AccessToken::new("a1")));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");

    let mut scene = Scene::signed_in(600);
    scene.memory = Default::default();
    assert!(scene.memory.reject(&AccessToken::new("a0")));
    assert_eq!(scene.refresh().token(), "a1");
}
