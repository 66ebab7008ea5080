//! One random world: processes on machines, their callers, a network and a store with weather, and time.

mod network;

use std::time::Duration;

use loginradius_proto::session::{LoadOutcome, SessionInput, SessionPolicy, SessionRecord};
use loginradius_proto::{Error, ErrorKind, Retry};
use network::{Arrived, Flight};

use super::books::{Books, Outcome};
use super::chance::{HOUR, MINUTE, Moment, Random, SECOND, Time};
use super::seat::{Asked, End, Fate, Goal, Next, Seat, judge_losses, seen};
use super::tally::Tally;

/// A lease outlives an answer that may still come, but not a holder that sleeps.
const LEASE: Time = MINUTE;
/// How often each process asks, in the end, before it must have got something.
const ROUNDS: u32 = 5;

/// A process, with one seat for each name.
struct Process {
    number: usize,
    machine: usize,
    seats: Vec<Seat>,
    doing: Vec<Doing>,
    /// Whether a caller was told to sign in again.
    over: Vec<bool>,
    /// By how much its monotonic clock is behind, because it stopped in its sleep.
    lag: Time,
    asleep: Option<Sleep>,
}

#[derive(Clone)]
struct Sleep {
    since: Time,
    until: Time,
    /// Whether the monotonic clock stops meanwhile.
    stops: bool,
}

/// What happens at a seat next.
enum Doing {
    /// A caller comes.
    Idle(Time),
    /// The flow is stepped.
    Step(Time),
    /// The store does what it was asked for.
    Store(Time),
    /// The flow hears what the store did.
    Hear(Time, Option<SessionInput>),
    /// A request is out, and perhaps there is an answer already.
    Answer(Option<(Time, Arrived)>),
    Wait,
}

/// A save of which the store told nothing, and which it does later, or not.
struct Late {
    at: Time,
    process: usize,
    name: usize,
    record: SessionRecord,
    expected: Option<u64>,
}

/// How much goes wrong at present, in percent.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    network: u64,
    saves: u64,
    loads: u64,
    locks: u64,
}

/// How likely a process is disturbed before each of its steps, in permille.
#[derive(Debug, Clone, Copy, Default)]
struct Perils {
    kill: u64,
    sleep: u64,
    jump: u64,
    damage: u64,
}

pub(crate) struct World {
    talks: bool,
    random: Random,
    now: Time,
    books: Books,
    policy: SessionPolicy,
    processes: Vec<Process>,
    /// By how much the wall clock of each machine is off.
    skews: Vec<i64>,
    flights: Vec<Flight>,
    late: Vec<Late>,
    weather: Weather,
    perils: Perils,
    /// The store takes nothing, from the start.
    read_only: bool,
    /// Whether the server rotates at all.
    rotates: bool,
    healed: bool,
    /// How the last flow ended.
    last_end: Option<End>,
}

impl World {
    pub(crate) fn new(seed: u64, talks: bool) -> Self {
        let mut random = Random(seed);
        let leases = random.percent(40);
        let names = random.pick(&[1, 1, 1, 2]);
        let mut books = Books::new(names, leases);
        books.grace = random.pick(&[0, 0, 0, 0, 0, 10 * SECOND, HOUR]);
        let perils = Perils {
            kill: random.pick(&[0, 0, 3, 10, 30]),
            sleep: random.pick(&[0, 0, 3, 10, 30]),
            jump: random.pick(&[0, 0, 5, 20]),
            damage: random.pick(&[0, 0, 0, 0, 0, 0, 0, 2]),
        };
        let policy = SessionPolicy {
            early: Duration::from_secs(random.pick(&[60, 60, 60, 0, 5])),
            lock_wait: Duration::from_secs(random.pick(&[30, 30, 5])),
            retry: Retry { attempts: random.pick(&[4, 4, 2, 1]), ..Retry::default() },
            ..SessionPolicy::default()
        };
        let mut world = Self {
            talks,
            now: 0,
            books,
            policy,
            processes: Vec::new(),
            skews: vec![0; random.pick(&[1, 1, 2])],
            flights: Vec::new(),
            late: Vec::new(),
            weather: Weather::default(),
            perils,
            read_only: random.percent(3),
            rotates: !random.percent(7),
            healed: false,
            last_end: None,
            random,
        };
        (0..world.random.pick(&[1, 2, 2, 3, 4])).for_each(|_| world.boot());
        world
    }

    pub(crate) fn run(mut self) -> Tally {
        let (perils, calm) = (std::mem::take(&mut self.perils), self.random.percent(80));
        if self.talks {
            println!("leases={} grace={} {:?} {perils:?}", self.books.leases, self.books.grace, self.policy);
        }
        // Somebody is signed in at the start, in most worlds.
        if calm || self.read_only {
            for name in 0..self.books.shelves.len() {
                self.sign_in(0, name);
                self.run_seat(0, name);
            }
        }
        self.perils = perils;
        self.change_weather();
        let events = self.random.pick(&[100, 200, 400, 800]);
        let refreshes = self.books.tally.refreshes;
        for _ in 0..events {
            self.event();
        }
        if self.read_only {
            assert_eq!(self.books.tally.refreshes, refreshes, "promise 8: a token was spent that cannot be saved");
            self.books.tally.read_only += 1;
        }
        self.heal();
        self.books.tally.worlds += 1;
        self.books.tally
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.talks {
            println!("{:>12.3} {}", Duration::from_millis(self.now).as_secs_f64(), what());
        }
    }

    // Time.

    /// A process starts, with nothing but the store.
    fn boot(&mut self) {
        let number = self.books.alive.len();
        self.books.alive.push(true);
        let foreign = number > 0 && self.random.percent(2);
        let seats: Vec<_> = (0..self.books.shelves.len()).map(|name| Seat::new(number, name, foreign)).collect();
        let doing = seats.iter().map(|_| Doing::Idle(self.now + self.random.within(0, SECOND))).collect();
        let over = vec![false; seats.len()];
        let machine = self.random.pick(&[0, self.skews.len() - 1]);
        self.processes.push(Process { number, machine, seats, doing, over, lag: 0, asleep: None });
    }

    /// What the clocks of a process say now.
    fn moment(&self, process: usize) -> Moment {
        let Process { machine, lag, .. } = self.processes[process];
        Moment {
            mono: Moment::START.mono + self.now - lag,
            wall: (Moment::START.wall + self.now).saturating_add_signed(self.skews[machine]),
        }
    }

    /// When something happens at a seat, by the world's time.
    fn due(&self, process: usize, name: usize) -> Time {
        let place = &self.processes[process];
        let by_mono = |mono: Time| mono.saturating_sub(Moment::START.mono) + place.lag;
        let asked = place.seats[name].run.as_ref().map(|run| &run.asked);
        let at = match (&place.doing[name], asked) {
            (Doing::Idle(at) | Doing::Step(at) | Doing::Store(at) | Doing::Hear(at, _), _) => *at,
            (Doing::Answer(Some((at, _))), Some(Asked::Answer(_, until))) => (*at).min(by_mono(*until)),
            (_, Some(Asked::Answer(_, until) | Asked::Time(until))) => by_mono(*until),
            (_, asked) => unreachable!("{asked:?}"),
        };
        at.max(place.asleep.as_ref().map_or(0, |sleep| sleep.until)).max(self.now)
    }

    /// The next thing that happens.
    fn event(&mut self) {
        enum What {
            Seat(usize, usize),
            Flight(usize),
            Late(usize),
        }
        let mut events = Vec::with_capacity(16);
        for process in 0..self.processes.len() {
            events
                .extend((0..self.books.shelves.len()).map(|name| (self.due(process, name), What::Seat(process, name))));
        }
        events.extend(self.flights.iter().enumerate().map(|(index, flight)| (flight.arrives, What::Flight(index))));
        events.extend(self.late.iter().enumerate().map(|(index, late)| (late.at, What::Late(index))));
        let first = events.iter().map(|(at, _)| *at).min().expect("a seat");
        events.retain(|(at, _)| *at == first);
        let chosen = usize::try_from(self.random.within(0, events.len() as u64 - 1)).unwrap_or(0);
        self.now = self.now.max(first);
        match events.swap_remove(chosen).1 {
            What::Seat(process, name) => {
                if !self.disaster(process) {
                    self.seat(process, name);
                }
            }
            What::Flight(index) => {
                let flight = self.flights.swap_remove(index);
                self.arrive(&flight);
            }
            What::Late(index) => {
                let late = self.late.swap_remove(index);
                let saved = self.books.save(late.process, late.name, &late.record, late.expected, &[]);
                self.books.tally.late_saves += u64::from(saved);
                self.tell(|| format!("a save arrives late: {saved}"));
            }
        }
    }

    fn delay(&mut self) -> Time {
        let most = self.random.pick(&[0, 0, 1, 5, 20, 200]);
        if self.random.permille(10) { 3 * SECOND } else { most }
    }

    // What goes wrong.

    fn change_weather(&mut self) {
        let weather = Weather {
            network: self.random.pick(&[0, 0, 10, 40, 90]),
            saves: self.random.pick(&[0, 0, 0, 10, 40, 100]),
            loads: self.random.pick(&[0, 0, 0, 10, 60]),
            locks: self.random.pick(&[0, 0, 0, 10]),
        };
        self.weather = if self.read_only { Weather { saves: 100, ..weather } } else { weather };
        self.tell(|| format!("the weather is {weather:?}"));
    }

    /// What may happen to a process before its next step. Says whether it does not get there.
    fn disaster(&mut self, process: usize) -> bool {
        if self.healed {
            return false;
        }
        if self.random.permille(15) {
            self.change_weather();
        }
        let Perils { kill, sleep, jump, damage } = self.perils;
        if self.random.permille(kill) {
            let number = self.processes[process].number;
            self.tell(|| format!("process {number} is killed"));
            self.books.tally.kills += 1;
            self.books.kill(number);
            self.processes.remove(process);
            self.boot();
            return true;
        }
        if self.random.permille(sleep) {
            let long = self.random.pick(&[20 * SECOND, 45 * SECOND, LEASE + SECOND, 5 * MINUTE, HOUR, HOUR]);
            // A lease needs a monotonic clock that goes on: with both clocks wrong, nobody could know.
            let stops = !self.books.leases && self.random.percent(30);
            let place = &mut self.processes[process];
            place.asleep = Some(Sleep { since: self.now, until: self.now + long, stops });
            let number = place.number;
            self.books.tally.suspensions += 1;
            self.tell(|| format!("process {number} sleeps for {} s", long / SECOND));
            return true;
        }
        if self.random.permille(jump) {
            let machine = self.processes[process].machine;
            let far = self.random.pick(&[HOUR as i64, HOUR as i64, 5 * MINUTE as i64, 10 * SECOND as i64]);
            // Machines whose clocks are wrong are set right at last.
            let skew = self.random.pick(&[0, far, -far]);
            self.skews[machine] = skew;
            self.books.tally.clock_jumps += 1;
            self.tell(|| format!("the wall clock of machine {machine} is off by {} s", skew / SECOND as i64));
        }
        if self.random.permille(damage) {
            // Whoever holds the lock is alone with the record.
            let name = self.random.pick(&[0, self.books.shelves.len() - 1]);
            if self.books.shelves[name].holder.is_none() {
                self.books.damage(name);
                self.tell(|| format!("record {name} is damaged"));
            }
        }
        false
    }

    fn fate(&mut self, chance: u64) -> Fate {
        match self.random.percent(chance) {
            false => Fate::Well,
            true if self.read_only => self.random.pick(&[Fate::Fails, Fate::Fails, Fate::NotDoneUnknown]),
            true => self.random.pick(&[Fate::Fails, Fate::NotDoneUnknown, Fate::DoneUnknown]),
        }
    }

    /// A process that slept goes on.
    fn wake(&mut self, process: usize) {
        let place = &mut self.processes[process];
        if let Some(sleep) = place.asleep.take() {
            place.lag += if sleep.stops { self.now - sleep.since } else { 0 };
        }
    }

    // The seats.

    fn seat(&mut self, process: usize, name: usize) {
        self.wake(process);
        let at = self.moment(process);
        let place = &mut self.processes[process];
        let number = place.number;
        if self.random.permille(8) {
            place.seats[name].disturb(at);
            self.books.tally.strays += 1;
        }
        // Another caller, who is content with what there is. Who signs out, or forgets, wants nobody served.
        let signing =
            place.seats[name].run.as_ref().is_some_and(|run| matches!(run.goal, Goal::SignOut | Goal::Forget));
        if self.random.percent(20) && !signing {
            place.seats[name].ask(&mut self.books, at);
        }
        let delay = self.delay();
        let later = self.now + delay;
        let place = &mut self.processes[process];
        match std::mem::replace(&mut place.doing[name], Doing::Wait) {
            Doing::Idle(_) => self.caller(process, name),
            Doing::Step(_) | Doing::Wait => self.step(process, name),
            Doing::Store(_) => {
                let asked = place.seats[name].run.as_ref().map(|run| run.asked.clone()).expect("asked");
                let Weather { saves, loads, locks, .. } = self.weather;
                let fate = match asked {
                    Asked::Lock => self.fate(locks),
                    Asked::Load => self.fate(loads),
                    Asked::Save(..) | Asked::Clear(_) => self.fate(saves),
                    _ => Fate::Well,
                };
                // Where nothing is stored, nobody could tell a save that comes late from a new sign-in.
                if let (Fate::NotDoneUnknown, Asked::Save(record, expected @ Some(_))) = (fate, &asked)
                    && !self.read_only
                    && self.random.percent(30)
                {
                    let at = self.now + self.random.pick(&[1, 30, SECOND, MINUTE]);
                    self.late.push(Late { at, process: number, name, record: (**record).clone(), expected: *expected });
                }
                let lapsed: Vec<_> = self
                    .processes
                    .iter()
                    .filter(|place| place.asleep.as_ref().is_some_and(|sleep| self.now - sleep.since >= LEASE))
                    .map(|place| place.number)
                    .collect();
                let lapsed = |holder| lapsed.contains(&holder);
                let input = self.processes[process].seats[name].act(&mut self.books, fate, lapsed);
                self.tell(|| format!("  store for {number}/{name}: {} {fate:?}", said(&input)));
                self.processes[process].doing[name] = Doing::Hear(later, Some(input));
            }
            Doing::Hear(_, input) => {
                place.seats[name].hear(&mut self.books, input.expect("once"), at);
                place.doing[name] = Doing::Step(later);
            }
            Doing::Answer(answer) => {
                let Some(Asked::Answer(request, until)) = place.seats[name].run.as_ref().map(|run| run.asked.clone())
                else {
                    unreachable!()
                };
                let over = at.mono >= until;
                match answer {
                    // Who comes back late may look at the time first, or at the answer.
                    Some((when, arrived)) if when <= self.now && (!over || self.random.percent(50)) => {
                        let Arrived { input, outcome, answer } = arrived;
                        self.tell(|| format!("process {number}/{name} hears of request {request}: {outcome:?}"));
                        let seat = &mut self.processes[process].seats[name];
                        seat.note_answer(&mut self.books, request, outcome, answer);
                        seat.hear(&mut self.books, input, at);
                        self.processes[process].doing[name] = Doing::Step(later);
                    }
                    _ => {
                        self.tell(|| format!("process {number}/{name} gives up request {request}"));
                        self.books.heard(request, Outcome::Lost);
                        self.step(process, name);
                    }
                }
            }
        }
    }

    fn step(&mut self, process: usize, name: usize) {
        let at = self.moment(process);
        let delay = self.delay();
        let place = &mut self.processes[process];
        let number = place.number;
        let next = place.seats[name].step(&mut self.books, at);
        let asked = place.seats[name].run.as_ref().map(|run| run.asked.clone());
        self.tell(|| {
            format!("process {number}/{name}: {}", asked.map_or(format!("{next:?}"), |asked| asked.to_string()))
        });
        let doing = match next {
            Next::Store => Doing::Store(self.now + delay),
            Next::Time => Doing::Wait,
            Next::Answer(request) => Doing::Answer(self.take_off(request)),
            Next::End(end) => {
                let over = matches!(&end, End::Error(error) if error.kind() == ErrorKind::SignInAgain);
                self.processes[process].over[name] = over;
                self.last_end = Some(end);
                Doing::Idle(self.now + self.gap())
            }
        };
        self.processes[process].doing[name] = doing;
    }

    /// How long until the next caller comes.
    fn gap(&mut self) -> Time {
        self.random.pick(&[0, 1, 50, SECOND, SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR])
    }

    fn caller(&mut self, process: usize, name: usize) {
        let at = self.moment(process);
        let wish = self.random.within(0, 99);
        let over = std::mem::take(&mut self.processes[process].over[name]);
        let seat = &mut self.processes[process].seats[name];
        let goal = match wish {
            0..=2 => Some(Goal::SignOut),
            3 => Some(Goal::Forget),
            4..=7 if !seat.foreign => return self.sign_in(process, name),
            // Whoever was told to sign in again mostly does.
            8..=60 if over && !seat.foreign => return self.sign_in(process, name),
            // An API has refused the token; or a token that the caller has had for long.
            8..=15 => {
                let newest = seat.newest(at);
                let access = newest.map(|newest| newest.saturating_sub(usize::from(wish == 8)));
                let start = access.is_some_and(|access| seat.report(&mut self.books, access, at));
                start.then_some(Goal::Token)
            }
            _ => seat.ask(&mut self.books, at).1.then_some(Goal::Token),
        };
        match goal {
            Some(goal) => self.start(process, name, goal),
            None => self.processes[process].doing[name] = Doing::Idle(self.now + self.gap()),
        }
    }

    fn start(&mut self, process: usize, name: usize, goal: Goal) {
        let (at, seed) = (self.moment(process), self.random.bits());
        let place = &mut self.processes[process];
        place.seats[name].start(&self.books, self.policy, goal, seed, at);
        place.doing[name] = Doing::Step(self.now);
        let number = place.number;
        self.tell(|| format!("process {number}/{name} begins: {goal:?}"));
    }

    fn sign_in(&mut self, process: usize, name: usize) {
        let at = self.moment(process);
        let (lifetime, refreshable) = (self.lifetime(), !self.random.percent(3));
        let (access, refresh) = self.books.new_family(name, lifetime, refreshable);
        let asked = self.random.pick(&[None, Some(0), Some(200), Some(20 * SECOND)]).map(|age| at.mono - age);
        self.start(process, name, Goal::SignIn { access, refresh, asked });
    }

    fn lifetime(&mut self) -> Option<Time> {
        if self.healed {
            return Some(600 * SECOND);
        }
        let minutes = self.random.pick(&[1, 10, 10, 10, 60]) * MINUTE;
        self.random.pick(&[Some(minutes), Some(minutes), Some(minutes), Some(minutes), Some(SECOND), None])
    }

    // The end.

    /// Nothing goes wrong any more: what was begun comes to an end, and every session that can be saved is.
    fn heal(&mut self) {
        self.tell(|| "all is well from now on".to_owned());
        (self.healed, self.read_only, self.weather) = (true, false, Weather::default());
        (0..self.processes.len()).for_each(|process| self.wake(process));
        for process in 0..self.processes.len() {
            for name in 0..self.books.shelves.len() {
                self.run_seat(process, name);
            }
        }
        // What is still on its way arrives, or never does.
        while let Some(flight) = self.flights.pop() {
            if self.random.percent(70) {
                self.arrive(&flight);
            }
        }
        self.late.clear();
        for name in 0..self.books.shelves.len() {
            self.recover(name);
        }
    }

    /// Runs until that seat is idle.
    fn run_seat(&mut self, process: usize, name: usize) {
        let from = self.now;
        let mut events = 0;
        loop {
            if let Doing::Idle(_) = self.processes[process].doing[name] {
                return;
            }
            events += 1;
            assert!(events < 5_000 && self.now - from < 2 * HOUR, "promise 9: a flow that never ends");
            // The flights first, so that an answer is there in time.
            let due = self.due(process, name);
            match (0..self.flights.len()).min_by_key(|index| self.flights[*index].arrives) {
                Some(index) if self.flights[index].arrives <= due => {
                    let flight = self.flights.swap_remove(index);
                    self.now = self.now.max(flight.arrives);
                    self.arrive(&flight);
                }
                _ => {
                    self.now = self.now.max(due);
                    self.seat(process, name);
                }
            }
        }
    }

    /// Promise 5, for what is stored under one name and what the memories hold.
    fn recover(&mut self, name: usize) {
        if self.books.is_damaged(name) {
            return;
        }
        let moments: Vec<_> = (0..self.processes.len()).map(|process| self.moment(process)).collect();
        let seats = self.processes.iter().map(|place| &place.seats[name]).zip(moments);
        let must = judge_losses(&mut self.books, name, seats);
        let mut wait = 0;
        let mut ends = Vec::new();
        for _ in 0..ROUNDS {
            self.now += wait;
            wait = 0;
            ends.clear();
            for process in 0..self.processes.len() {
                if self.processes[process].seats[name].foreign {
                    continue;
                }
                let at = self.moment(process);
                let (token, start) = self.processes[process].seats[name].ask(&mut self.books, at);
                self.last_end = token.map(|_| End::Token);
                if start {
                    self.start(process, name, Goal::Token);
                    self.run_seat(process, name);
                }
                if !matches!(self.last_end, Some(End::Token)) {
                    let asked = match &self.last_end {
                        Some(End::Error(error)) => error.retry_after().map_or(0, |wait| wait.as_millis() as Time),
                        _ => HOUR,
                    };
                    assert!(asked <= HOUR, "promise 5: waits for {asked} ms");
                    wait = wait.max(asked).max(MINUTE + SECOND);
                }
                // What is in the memory alone is saved by whoever asks late enough.
                if self.processes[process].seats[name].memory.unsaved().is_some() {
                    wait = wait.max(MINUTE + SECOND);
                }
                ends.push(self.last_end.take());
            }
            if wait == 0 {
                break;
            }
        }
        self.tell(|| format!("name {name} has to recover: {must}; {ends:?}"));
        let tokens = ends.iter().all(|end| matches!(end, Some(End::Token)));
        let seen = self.books.shelves[name].seen.as_ref();
        let refreshable = seen.is_none_or(|seen| seen.refresh.is_some());
        if must {
            let live = seen.is_some_and(|seen| seen.refresh.is_some_and(|refresh| self.books.is_live(refresh)));
            self.books.tally.recovered += 1;
            assert!(tokens && live, "promise 5: the session does not recover: {ends:?}");
        } else if refreshable {
            let over = |error: &Error| error.kind() == ErrorKind::SignInAgain;
            let told = ends.iter().all(|end| match end {
                Some(End::Token) => true,
                Some(End::Error(error)) => over(error),
                _ => false,
            });
            assert!(told, "promise 5: neither a token nor an end: {ends:?}");
        }
    }
}

fn said(input: &SessionInput) -> String {
    match input {
        SessionInput::Locked(outcome) => format!("locked {outcome:?}"),
        SessionInput::Loaded(LoadOutcome::Record(record)) => format!("loaded {}", seen(record)),
        SessionInput::Loaded(outcome) => format!("loaded {outcome:?}"),
        SessionInput::Saved(outcome) => format!("saved {outcome:?}"),
        SessionInput::Answered(_) => "answered".to_owned(),
        SessionInput::Unlocked => "unlocked".to_owned(),
    }
}
