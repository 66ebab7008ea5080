//! Device polling against thousands of random servers, networks and callers.
//!
//! Each world has a server that keeps its own time and really measures the distance between two polls, a
//! network with latencies and outages, and a caller that may step early, late or twice, hand in stray
//! outcomes, be suspended, or store the sign-in and go on with it elsewhere. `WORLDS=100000` runs more
//! worlds than the 10,000 of a plain run; a failure names its world, and `WORLD=1234` runs that one alone
//! and tells its story.

use std::error::Error as _;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{App, Body, DeviceFlow, Endpoint, Error, ErrorKind, Flow, PendingDevice, Step, TokenSet};

/// Microseconds since the server made the grant.
type Time = u64;

const SECOND: Time = 1_000_000;
const MINUTE: Time = 60 * SECOND;
/// Later than anything that happens.
const NEVER: Time = u64::MAX / 4;
/// The longest wait that a flow can tell: thirty years.
const AGES: Time = 30 * 365 * 24 * 60 * MINUTE;
const TIMEOUT: Time = 30 * SECOND;

#[test]
fn no_world_breaks_a_promise() {
    let mut tally = Tally::default();
    match number("WORLD") {
        Some(seed) => World::new(seed, true).run(&mut tally),
        None => {
            let worlds = number("WORLDS").unwrap_or(10_000);
            (0..worlds).for_each(|seed| World::new(seed, false).run(&mut tally));
            tally.assert_that_everything_happened(worlds);
        }
    }
    println!("{tally:?}");
}

#[allow(clippy::disallowed_methods, reason = "the test is told how long to run; the core reads no variables")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[derive(Default)]
struct Tally {
    worlds: u64,
    collected: u64,
    denied: u64,
    expired: u64,
    lost: u64,
    /// Decided in time and in quiet, so that the answer had to be fetched.
    sure: u64,
    polls: u64,
    failures: u64,
    resumed: u64,
    strays: u64,
    suspended: u64,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { worlds, collected, denied, expired, lost, sure, polls, failures, resumed, strays, suspended } = self;
        write!(f, "worlds={worlds} collected={collected} denied={denied} expired={expired} lost={lost} sure={sure} ")?;
        write!(f, "polls={polls} failures={failures} resumed={resumed} strays={strays} suspended={suspended}")
    }
}

impl Tally {
    fn assert_that_everything_happened(&self, worlds: u64) {
        let often = |what, times: u64, least: u64| assert!(times >= least, "only {times} times: {what}");
        often("collected", self.collected, worlds / 5);
        often("denied", self.denied, worlds / 20);
        often("expired", self.expired, worlds / 10);
        often("lost", self.lost, worlds / 500);
        often("sure", self.sure, worlds / 5);
        often("polls", self.polls, worlds * 3);
        often("failures", self.failures, worlds / 2);
        often("resumed", self.resumed, worlds / 10);
        often("strays", self.strays, worlds / 10);
        often("suspended", self.suspended, worlds / 10);
    }
}

/// SplitMix64: the worlds are the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From `least` to `most`, both included.
    fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most.max(least) - least + 1)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next()).unwrap_or(0) % from.len()]
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    LostOnTheWayUp,
    LostOnTheWayDown,
    NotSent,
    NeverAnswered,
    ServerError,
    Page,
    Redirect,
    TooMany,
    TooManyFor(Time),
    BusyFor(Time),
}

impl Fault {
    fn any(random: &mut Random) -> Self {
        let long = if random.percent(15) { 4_000 } else { 90 };
        let wait = random.within(0, long) * SECOND;
        random.pick(&[
            Self::LostOnTheWayUp,
            Self::LostOnTheWayDown,
            Self::NotSent,
            Self::NeverAnswered,
            Self::ServerError,
            Self::Page,
            Self::Redirect,
            Self::TooMany,
            Self::TooManyFor(wait),
            Self::BusyFor(wait),
        ])
    }
}

/// What the server thinks of the sign-in.
#[derive(Debug)]
struct Server {
    /// The least distance between two polls, as it stands.
    interval: Time,
    lifetime: Time,
    decided_at: Time,
    denies: bool,
    last_poll: Time,
    spent: bool,
    /// Polls that came too early.
    violations: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    Pending,
    SlowDown,
    Expired,
    Denied,
    Spent,
    Tokens,
}

impl Server {
    /// Answers a poll that arrives at `at`. It may ask any client that hears it to slow down.
    fn answer(&mut self, at: Time, slow_down: bool) -> Said {
        let too_early = at - self.last_poll < self.interval;
        self.last_poll = at;
        if at >= self.lifetime {
            return Said::Expired;
        }
        self.violations += u32::from(too_early);
        if too_early || slow_down {
            self.interval += 5 * SECOND;
            return Said::SlowDown;
        }
        match at >= self.decided_at {
            false => Said::Pending,
            true if self.denies => Said::Denied,
            true if self.spent => Said::Spent,
            true => {
                self.spent = true;
                Said::Tokens
            }
        }
    }
}

/// How a poll goes: when its outcome reaches the caller, and what it is.
struct Outcome {
    at: Time,
    result: Option<Result<http::Response<Body>, Error>>,
    said: Option<Said>,
    fault: Option<Fault>,
}

struct World {
    seed: u64,
    talks: bool,
    random: Random,
    server: Server,
    grant: DeviceGrant,
    up: Time,
    down: Time,
    outages: Vec<(Time, Time, Fault)>,
    clumsy: bool,

    /// What a client has to know.
    interval: Time,
    ends: Time,
    not_before: Time,
    last_outcome: Time,
    owes_a_poll: bool,

    /// From when on nothing went wrong any more.
    quiet_from: Time,
    clock_changed: bool,
    resumed: u64,
    suspended: Time,
    polls: u64,
}

#[allow(clippy::disallowed_methods, reason = "an instant can be had from nowhere else; nothing depends on which")]
fn instant(time: Time) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_micros(time)
}

/// The reverse of [`instant`]; a fraction of a microsecond counts as a whole one.
fn time(of: Instant) -> Time {
    let nanos = of.duration_since(instant(0)).as_nanos();
    Time::try_from(nanos.div_ceil(1_000)).unwrap_or(NEVER).min(NEVER)
}

fn clock(at: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_268_800) + Duration::from_micros(at)
}

fn app() -> App {
    App::new("my-client-id").oauth_app("my-oauth-app")
}

fn answer(status: u16, body: &str) -> http::Response<Body> {
    http::Response::builder().status(status).body(Body::from(body)).unwrap()
}

fn seconds(time: Time) -> f64 {
    Duration::from_micros(time).as_secs_f64()
}

impl World {
    fn new(seed: u64, talks: bool) -> Self {
        let mut random = Random(seed);
        let roughly = |random: &mut Random, most: u32| {
            let magnitude = u32::try_from(random.within(0, 100)).unwrap();
            let seconds = f64::from(most).powf(f64::from(magnitude) / 100.0);
            // The shape does not matter, only that small and large ones are both met.
            (Duration::from_secs_f64(seconds).as_millis() as u64) * 1_000
        };

        let interval = roughly(&mut random, 40);
        let (interval_member, interval) = match random.within(0, 19) {
            0 => (String::new(), 5 * SECOND),
            1 => (r#","interval":null"#.to_owned(), 5 * SECOND),
            2 => (r#","interval":0"#.to_owned(), SECOND),
            3 => (r#","interval":-1"#.to_owned(), 5 * SECOND),
            4 => (r#","interval":"7""#.to_owned(), 7 * SECOND),
            5 => (r#","interval":1e30"#.to_owned(), NEVER),
            6 => (r#","interval":0.5"#.to_owned(), SECOND),
            7..=9 => (format!(r#","interval":{}"#, seconds(interval)), interval.max(SECOND)),
            _ => (format!(r#","interval":{}"#, interval / SECOND), (interval / SECOND).max(1) * SECOND),
        };
        let lifetime = (roughly(&mut random, 600) / SECOND + 3) * SECOND;
        let endless = random.percent(3);
        let (lifetime_member, lifetime) = match random.within(0, 29) {
            _ if endless => (r#","expires_in":1e30"#.to_owned(), NEVER),
            0 => (String::new(), 30 * MINUTE),
            1 => (r#","expires_in":-1"#.to_owned(), 30 * MINUTE),
            2 => (r#","expires_in":0"#.to_owned(), 30 * MINUTE),
            3..=5 => (format!(r#","expires_in":"{}""#, lifetime / SECOND), lifetime),
            6..=8 => (format!(r#","expires":{}.0"#, lifetime / SECOND), lifetime),
            9..=11 => (format!(r#","expire_in":"{}""#, lifetime / SECOND), lifetime),
            _ => (format!(r#","expires_in":{}"#, lifetime / SECOND), lifetime),
        };
        // A server whose lifetime has no end is decided at some time, so that its world has one.
        let horizon = lifetime.min(20 * MINUTE);
        let decided_at = match random.within(0, 9) {
            0 if !endless => NEVER,
            1 => 0,
            2 => horizon - horizon.min(random.within(0, 30 * SECOND)),
            _ => random.within(0, horizon),
        };

        let body = format!(
            r#"{{"device_code":"af2a4121","user_code":"oP5lLq","verification_uri":"v"{interval_member}{lifetime_member}}}"#
        );
        let grant = RequestDeviceCode::new().response(&app(), answer(200, &body)).expect("a grant");

        let slow = if random.percent(25) { 3 * SECOND } else { SECOND / 5 };
        let (up, down) = (random.within(1_000, slow), random.within(10_000, slow));
        let outages = (0..random.pick(&[0, 0, 1, 2, 3]))
            .map(|_| {
                let from = random.within(0, horizon);
                let length = if random.percent(10) { NEVER } else { random.within(SECOND, horizon / 2) };
                (from, from.saturating_add(length), Fault::any(&mut random))
            })
            // An outage without an end needs a lifetime with one.
            .filter(|(_, to, _)| !endless || *to < NEVER)
            .collect();

        // What the server insists on need not be what it said: a client has to keep at least a second.
        let insists = if interval == NEVER { SECOND } else { interval };
        Self {
            server: Server {
                interval: insists,
                lifetime,
                decided_at,
                denies: random.percent(25),
                last_poll: 0,
                spent: false,
                violations: 0,
            },
            seed,
            talks,
            clumsy: random.percent(50),
            random,
            grant,
            up,
            down,
            outages,
            interval,
            ends: 0,
            not_before: 0,
            last_outcome: 0,
            owes_a_poll: false,
            quiet_from: 0,
            clock_changed: false,
            resumed: 0,
            suspended: 0,
            polls: 0,
        }
    }

    fn tell(&self, at: Time, what: &dyn std::fmt::Debug) {
        if self.talks {
            println!("{:12.6} {what:?}", seconds(at));
        }
    }

    fn latency(&mut self, base: Time) -> Time {
        self.random.within(base, base * 2 - 1)
    }

    fn longest_round_trip(&self) -> Time {
        2 * (self.up + self.down)
    }

    fn run(mut self, tally: &mut Tally) {
        let (up, down) = (self.latency(self.up), self.latency(self.down));
        let mut now = up + down;
        // The server's time begins when it makes the grant.
        self.server.last_poll = up;
        self.server.lifetime = self.server.lifetime.saturating_add(up).min(NEVER);
        self.server.decided_at = self.server.decided_at.saturating_add(up);
        let lifetime = self.server.lifetime - up;
        self.ends = now.saturating_add(lifetime).min(NEVER);
        self.last_outcome = now;

        self.tell(now, &(&self.server, self.interval, &self.outages));

        let mut flow = DeviceFlow::new(&app(), &self.grant, instant(now), self.seed)
            .round_trip(Duration::from_micros(now), instant(now));
        let first_interval = self.interval;
        let mut steps = 0;
        let result = loop {
            steps += 1;
            assert!(steps < 20_000, "world {}: no end after {} polls", self.seed, self.polls);
            match flow.step(instant(now)) {
                Step::Done(result) => break result,
                Step::Wait(until) => now = self.wait(&mut flow, now, time(until), tally),
                Step::Send { options, .. } => now = self.poll(&mut flow, now, time(options.deadline), tally),
            }
        };
        self.tell(now, &("end", result.as_ref().map_err(Error::kind)));
        self.judge(&result, now, tally);

        let latest = self.ends.max(self.last_outcome + self.interval).saturating_add(TIMEOUT + self.suspended);
        assert!(now <= latest, "world {}: ended at {now} only", self.seed);
        if !self.clock_changed {
            let most = lifetime / first_interval + 2 + self.resumed;
            assert!(self.polls <= most, "world {}: {} polls instead of {most}", self.seed, self.polls);
        }
        assert_eq!(self.server.violations, 0, "world {}: the server was polled too fast", self.seed);
        let Step::Done(Err(error)) = flow.step(instant(now)) else { panic!("world {}: two ends", self.seed) };
        assert_eq!(error.kind(), ErrorKind::Finished);
        tally.worlds += 1;
        tally.polls += self.polls;
        tally.resumed += self.resumed;
    }

    /// The caller waits; returns when it comes back.
    fn wait(&mut self, flow: &mut DeviceFlow, now: Time, until: Time, tally: &mut Tally) -> Time {
        if self.clumsy && self.random.percent(5) && self.resumed < 3 {
            return self.store_and_resume(flow, now, 0);
        }
        if self.clumsy && self.random.percent(10) {
            // Early, and with an outcome that nobody asked for.
            let early = self.random.within(now, until.max(now));
            let stray = self.random.pick(&[
                r#"{"access_token":"stray"}"#,
                r#"{"error":"access_denied"}"#,
                r#"{"error":"slow_down"}"#,
                "<html>",
            ]);
            flow.receive(Ok(answer(200, stray)), instant(early));
            tally.strays += 1;
            return early;
        }
        let late = self.suspension(tally);
        if late > 0 {
            self.quiet_from = self.quiet_from.max(until.max(now) + late);
        }
        until.max(now) + late
    }

    fn suspension(&mut self, tally: &mut Tally) -> Time {
        if !self.clumsy || !self.random.percent(3) {
            return 0;
        }
        let long = self.random.pick(&[SECOND, MINUTE, 20 * MINUTE]);
        let late = self.random.within(1, long);
        self.suspended += late;
        tally.suspended += 1;
        self.tell(late, &"suspended for so long");
        late
    }

    /// Another process goes on at least `gap` later, perhaps with another idea of the time.
    fn store_and_resume(&mut self, flow: &mut DeviceFlow, now: Time, gap: Time) -> Time {
        let stored = flow.pending(instant(now), clock(now)).to_json();
        let now = now + gap + if self.random.percent(50) { 0 } else { self.random.within(0, MINUTE) };
        let hour = Duration::from_secs(3600);
        let wall_clock = match self.random.within(0, 9) {
            0 => clock(now) - hour,
            1 => clock(now) + hour,
            _ => clock(now),
        };
        let pending = PendingDevice::from_json(&stored).expect("what was stored can be read");
        *flow = DeviceFlow::resume(&app(), &pending, instant(now), wall_clock, self.seed ^ 1);

        let ends = time(flow.expires_at());
        if wall_clock == clock(now) {
            let rounding = 3_000;
            let expected = self.ends.max(now);
            let is_exact = (expected..=expected + rounding).contains(&ends);
            assert!(is_exact || self.server.lifetime == NEVER, "world {}: ends at {ends}, not {expected}", self.seed);
        } else {
            self.clock_changed = true;
            self.not_before = 0;
        }
        self.ends = ends;
        self.suspended += gap + MINUTE;
        self.quiet_from = self.quiet_from.max(now);
        self.tell(now, &("resumed", clock(now) == wall_clock));
        self.last_outcome = now;
        self.owes_a_poll = true;
        self.resumed += 1;
        now
    }

    /// A poll goes out; returns when the caller comes back with its outcome, or without one.
    fn poll(&mut self, flow: &mut DeviceFlow, now: Time, deadline: Time, tally: &mut Tally) -> Time {
        let seed = self.seed;
        let waited = now - self.last_outcome;
        assert!(
            waited >= self.interval.min(AGES),
            "world {seed}: polled after {waited} µs instead of {}",
            self.interval
        );
        assert!(now < self.ends || self.owes_a_poll, "world {seed}: polled at {now}, after {}", self.ends);
        let asked = self.not_before;
        assert!(now >= asked || asked >= self.ends, "world {seed}: polled at {now}, before {asked}");
        self.owes_a_poll = false;
        self.polls += 1;

        // The process that asks may not live to hear the answer.
        let dies = self.clumsy && self.resumed < 3 && self.random.percent(3);
        let outcome = self.outcome(now, !dies);
        self.tell(now, &("poll", outcome.said, outcome.fault));
        let patience = now + self.interval.min(TIMEOUT);
        assert!((patience..=now + TIMEOUT).contains(&deadline), "world {seed}: waits until {deadline}");
        let honest = outcome.fault.is_none() && outcome.at >= deadline;
        assert!(!honest, "world {seed}: given up at {deadline}, and answered at {}", outcome.at);
        let early = self.clumsy && self.random.percent(10);
        if early {
            for at in [now, now / 2 + outcome.at.min(deadline - 1) / 2] {
                let Step::Wait(until) = flow.step(instant(at)) else { panic!("world {seed}: one poll is out") };
                assert_eq!(time(until), deadline, "world {seed}");
            }
        }
        if dies {
            return self.store_and_resume(flow, now, self.longest_round_trip());
        }
        let late = self.suspension(tally);
        let at = match outcome.result {
            Some(_) => outcome.at + late,
            None => deadline + late,
        };
        self.hear(&outcome, at, tally);
        if late > 0 {
            self.quiet_from = self.quiet_from.max(at);
        }
        if let Some(result) = outcome.result {
            flow.receive(result, instant(at));
        }
        at
    }

    /// What a client has to make of an outcome, or of the lack of one.
    fn hear(&mut self, outcome: &Outcome, at: Time, tally: &mut Tally) {
        self.last_outcome = at;
        self.not_before = 0;
        if outcome.said == Some(Said::SlowDown) {
            self.interval = self.interval.saturating_add(5 * SECOND);
            self.quiet_from = self.quiet_from.max(at);
        }
        if let Some(fault) = outcome.fault {
            tally.failures += 1;
            self.quiet_from = self.quiet_from.max(at);
            match fault {
                Fault::TooMany => self.interval = self.interval.saturating_add(5 * SECOND),
                Fault::TooManyFor(wait) | Fault::BusyFor(wait) => {
                    self.not_before = at + wait;
                    if self.not_before < self.ends {
                        self.quiet_from = self.quiet_from.max(self.not_before);
                    }
                }
                _ => {}
            }
        }
    }

    fn outcome(&mut self, now: Time, heard: bool) -> Outcome {
        let (up, down) = (self.latency(self.up), self.latency(self.down));
        let (arrives, back) = (now + up, now + up + down);
        let fault = self.outages.iter().find(|(from, to, _)| (*from..*to).contains(&now)).map(|(_, _, fault)| *fault);
        let Some(fault) = fault.filter(|_| self.random.percent(90)) else {
            let slow_down = heard && self.random.percent(4);
            let said = self.server.answer(arrives, slow_down);
            let result = Ok(self.words(said));
            return Outcome { at: back, result: Some(result), said: Some(said), fault: None };
        };
        let acted = match fault {
            Fault::LostOnTheWayDown => true,
            Fault::NeverAnswered | Fault::ServerError => self.random.percent(50),
            _ => false,
        };
        if acted {
            self.server.answer(arrives, false);
        }
        let page = "<html><title>Sorry</title></html>";
        let wait = |status, wait: Time| {
            let builder = http::Response::builder().status(status).header("retry-after", wait / SECOND);
            Ok(builder.body(Body::from(page)).unwrap())
        };
        let (at, result) = match fault {
            Fault::LostOnTheWayUp => (arrives, Some(Err(Error::lost("reset")))),
            Fault::LostOnTheWayDown => (back, Some(Err(Error::lost("reset")))),
            Fault::NotSent => (now, Some(Err(Error::not_sent("refused")))),
            Fault::NeverAnswered => (NEVER, None),
            Fault::ServerError => {
                let body = self.random.pick(&[page, "", r#"{"error":"server_error"}"#, r#"{"ErrorCode":905}"#]);
                (back, Some(Ok(answer(self.random.pick(&[500, 502, 503, 504]), body))))
            }
            Fault::Page => (back, Some(Ok(answer(self.random.pick(&[200, 403, 404]), page)))),
            Fault::Redirect => (back, Some(Ok(answer(self.random.pick(&[301, 302, 307]), "")))),
            Fault::TooMany => (back, Some(Ok(answer(429, "Too many requests")))),
            Fault::TooManyFor(seconds) => (back, Some(wait(429, seconds))),
            Fault::BusyFor(seconds) => (back, Some(wait(503, seconds))),
        };
        Outcome { at, result, said: None, fault: Some(fault) }
    }

    /// The same said in one of LoginRadius's ways.
    fn words(&mut self, said: Said) -> http::Response<Body> {
        let name = match said {
            Said::Tokens => {
                let token_type = self.random.pick(&["access_token", "Bearer", "bearer"]);
                return answer(200, &format!(r#"{{"access_token":"b8cb84c9","token_type":"{token_type}"}}"#));
            }
            Said::Pending => "authorization_pending",
            Said::SlowDown => "slow_down",
            Said::Expired => "expired_token",
            Said::Denied => "access_denied",
            Said::Spent => "invalid_grant",
        };
        let body = match self.random.percent(70) {
            true => format!(r#"{{"error":"{name}","error_description":""}}"#),
            false => format!(r#"{{"ErrorCode":2010,"Message":"{name}","Description":"A sentence."}}"#),
        };
        answer(self.random.pick(&[400, 400, 200, 401]), &body)
    }

    fn judge(&self, result: &Result<TokenSet, Error>, now: Time, tally: &mut Tally) {
        let seed = self.seed;
        let server = &self.server;
        // One interval and one round trip before the end, all was decided and nothing went wrong after that.
        let needed = self.interval.saturating_add(self.longest_round_trip());
        let ready = server.decided_at.max(self.quiet_from);
        let sure = !self.clock_changed && ready.saturating_add(needed) <= server.lifetime && ready < NEVER;
        let kind = result.as_ref().err().map(Error::kind);
        match (result, kind) {
            (Ok(tokens), _) => {
                assert_eq!(tokens.access_token.expose(), "b8cb84c9", "world {seed}");
                assert!(server.spent && !server.denies, "world {seed}");
                tally.collected += 1;
            }
            (Err(_), Some(ErrorKind::Denied)) => {
                assert!(server.denies, "world {seed}");
                tally.denied += 1;
            }
            (Err(error), Some(ErrorKind::SignInAgain)) => {
                let name = error.service().and_then(|service| service.oauth_error.as_deref());
                if name == Some("invalid_grant") {
                    // Only who has lost an answer can find the grant spent.
                    assert!(server.spent, "world {seed}");
                    let says_so = error.to_string().contains("may have been lost") && error.source().is_some();
                    assert!(says_so || self.resumed > 0, "world {seed}: {error:?}");
                    tally.lost += 1;
                } else {
                    assert_eq!(name, Some("expired_token"), "world {seed}: {error:?}");
                    assert!(!sure, "world {seed}: collected too late");
                    tally.expired += 1;
                }
            }
            (Err(error), Some(ErrorKind::Expired)) => {
                assert!(now >= server.lifetime.min(AGES) || self.clock_changed, "world {seed}: expired at {now}");
                assert!(!sure || (server.spent && !server.denies), "world {seed}: not collected, {error:?}");
                assert!(error.service().is_none(), "world {seed}");
                tally.expired += 1;
            }
            (Err(error), _) => panic!("world {seed}: {error:?}"),
        }
        tally.sure += u64::from(sure);
    }
}
