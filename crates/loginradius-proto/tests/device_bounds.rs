//! Whatever the interval, the lifetime, the network and the server: one poll before the code expires, and an end soon
//! after.

use std::time::{Duration, Instant};

use loginradius_proto::oauth::DeviceGrant;
use loginradius_proto::{DeviceFlow, Error, ErrorKind, Flow, PendingDevice, Seed, Step};
use loginradius_testing::{app, ms, now, response, response_with, s, start};
use proptest::prelude::*;

/// What a poll meets, and how long that takes.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Pending,
    SlowDown,
    AskedToWait(u64),
    Lost,
    NotSent,
    NoResponse,
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..60_000_u64).prop_map(ms),
        2 => (0..2_000_000_u64).prop_map(ms),
        1 => prop::sample::select(vec![Duration::ZERO, Duration::from_nanos(1), s(1 << 40), Duration::MAX]),
    ]
}

fn outcome() -> impl Strategy<Value = (Outcome, Duration)> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Pending),
        1 => Just(Outcome::SlowDown),
        1 => prop_oneof![0..100_u64, Just(u64::MAX)].prop_map(Outcome::AskedToWait),
        1 => Just(Outcome::Lost),
        1 => Just(Outcome::NotSent),
        2 => Just(Outcome::NoResponse),
    ];
    (outcome, prop_oneof![3 => 0..500_u64, 1 => 0..40_000_u64].prop_map(ms))
}

/// When a flow polled, and when it ended.
struct Run {
    polls: Vec<Instant>,
    ended: Instant,
    kind: ErrorKind,
    /// The longest time that a response took, as far as the flow knows.
    round_trip: Duration,
}

fn run(mut flow: DeviceFlow, mut round_trip: Duration, outcomes: &[(Outcome, Duration)]) -> Run {
    let (mut now, mut polls) = (start(), Vec::new());
    loop {
        match flow.step(now) {
            Step::Wait(until) => now = now.max(until),
            Step::Done(result) => {
                let kind = result.expect_err("no user approves").kind();
                return Run { polls, ended: now, kind, round_trip };
            }
            Step::Send { options, .. } => {
                assert!(polls.len() < 5_000, "it polls without end");
                let (outcome, time) = outcomes[polls.len() % outcomes.len()];
                polls.push(now);
                let back = now + time;
                now = back.min(options.deadline);
                if back >= options.deadline {
                    continue;
                }
                let body = match outcome {
                    Outcome::Pending => Ok(response(400, r#"{"error":"authorization_pending"}"#)),
                    Outcome::SlowDown => Ok(response(400, r#"{"error":"slow_down"}"#)),
                    Outcome::AskedToWait(wait) => Ok(response_with(503, "", &[("retry-after", &wait.to_string())])),
                    Outcome::Lost => Err(Error::outcome_unknown("reset")),
                    Outcome::NotSent => Err(Error::not_sent("refused")),
                    Outcome::NoResponse => {
                        now = options.deadline;
                        continue;
                    }
                };
                if body.is_ok() {
                    round_trip = round_trip.max(time);
                }
                flow.receive(body, now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn one_poll_before_the_end_and_an_end_soon_after(
        interval in duration(),
        lifetime in (0..2_000_u64).prop_map(s),
        timeout in duration(),
        round_trip in prop_oneof![4 => (0..3_000_u64).prop_map(ms), 1 => duration()],
        outcomes in prop::collection::vec(outcome(), 1..8),
        resumed in prop::option::of(0..3_000_u64),
        seed: u64,
    ) {
        let mut grant = DeviceGrant::new("af2a", "oP5lLq", "https://example.com/device");
        (grant.interval, grant.expires_in) = (interval.max(s(1)), lifetime);
        let flow = DeviceFlow::new(&app(), &grant, start(), Seed(seed)).round_trip(round_trip, start());
        let (flow, round_trip) = match resumed {
            None => (flow, round_trip),
            Some(age) => {
                let stored = flow.pending(start(), now().wall).to_json();
                let pending = PendingDevice::from_json(&stored).expect("what was stored");
                // Stored round trips are whole milliseconds.
                let flow = DeviceFlow::resume(&app(), &pending, start(), now().wall + s(age), Seed(seed));
                (flow, round_trip.saturating_add(ms(1)))
            }
        };
        let flow = flow.timeout(timeout);
        let expires_at = flow.expires_at();
        let done = run(flow, round_trip, &outcomes);

        prop_assert_eq!(done.kind, ErrorKind::Expired);
        prop_assert!(done.ended >= expires_at, "it gave up before the end");
        let longest_response = timeout.min(s(5).max(done.round_trip.saturating_mul(4)));
        let last_poll = if resumed.is_some() { expires_at.max(start() + interval.max(s(1)).min(s(60))) } else { expires_at };
        // A timeout that never ends has no bound.
        let bound = last_poll.checked_add(longest_response);
        prop_assert!(bound.is_none_or(|bound| done.ended <= bound), "it ended {:?} after {bound:?}", done.ended);

        match resumed {
            None => prop_assert!(done.polls.iter().all(|poll| *poll < expires_at)),
            Some(_) => prop_assert!(done.polls.iter().skip(1).all(|poll| *poll < expires_at)),
        }
        // A response that comes back in twice the time of the slowest so far comes before the end.
        let first = done.polls.first();
        let is_possible = round_trip.saturating_mul(4) <= lifetime && lifetime > Duration::ZERO;
        if resumed.is_some() {
            prop_assert!(first.is_some());
        } else if is_possible {
            let in_time = first.is_some_and(|first| *first + 2 * round_trip <= expires_at);
            prop_assert!(in_time, "polled {first:?}, and it expires at {expires_at:?}");
        }
        for pair in done.polls.windows(2) {
            prop_assert!(pair[1] - pair[0] >= interval.max(s(1)).min(s(1 << 30)), "polled too often");
        }
    }
}
