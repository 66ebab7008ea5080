//! Several hosts: network namespaces, of which one is cut off for longer than its lease. This needs root and `ip`
//! (Debian: iproute2).

use std::collections::HashMap;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use loginradius_store::{Expected, SaveError, SessionStore, StoredRecord};
use loginradius_testing::postgres::{PASSWORD, PostgresServer};

use crate::common::{open, record, table};

const LEASE: Duration = Duration::from_secs(6);
const RUN: Duration = Duration::from_secs(24);
const URL: &str = "TEST_OF_HOSTS_URL";

/// A host of its own, with a link to this one.
struct Host {
    name: &'static str,
    number: u8,
}

impl Host {
    fn new(name: &'static str, number: u8) -> Self {
        // What a killed run left.
        let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
        let host = Self { name, number };
        let (near, far) = (format!("{name}0"), format!("{name}1"));
        ip(&format!("netns add {name}"));
        ip(&format!("link add {near} type veth peer name {far}"));
        ip(&format!("link set {far} netns {name}"));
        ip(&format!("address add {}/30 dev {near}", host.server_address()));
        ip(&format!("link set {near} up"));
        ip(&format!("-n {name} address add 10.77.{number}.2/30 dev {far}"));
        ip(&format!("-n {name} link set {far} up"));
        host
    }

    fn server_address(&self) -> String {
        format!("10.77.{}.1", self.number)
    }

    /// Cuts the host off, or connects it again. No connection is closed: its packets get lost.
    fn set_cut_off(&self, is_cut_off: bool) {
        ip(&format!("link set {}0 {}", self.name, if is_cut_off { "down" } else { "up" }));
    }

    fn count(&self, port: u16) -> Child {
        let url = format!("postgres://postgres:{PASSWORD}@{}:{port}/postgres", self.server_address());
        Command::new("ip")
            .args(["netns", "exec", self.name])
            .arg(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "hosts::a_program_on_a_host"])
            .env(URL, url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", self.name]).status();
    }
}

#[track_caller]
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip, of Debian's iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs a server, root and `ip`"]
fn a_host_that_is_cut_off_loses_its_lease_and_nothing_else() {
    let server = PostgresServer::start_for_others();
    drop(open(&server.url(), table("hosts")).unwrap());
    let hosts = [Host::new("lrtest-a", 1), Host::new("lrtest-b", 2)];
    let (sender, lines) = mpsc::channel();
    let mut programs: Vec<Child> = hosts.iter().map(|host| host.count(server.port())).collect();
    for (host, program) in programs.iter_mut().enumerate() {
        let (output, sender) = (program.stdout.take().unwrap(), sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send((host, Instant::now(), line));
            }
        });
    }
    drop(sender);
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(4));
    hosts[0].set_cut_off(true);
    let cut = Instant::now();
    thread::sleep(LEASE + Duration::from_secs(4));
    let whole = Instant::now();
    hosts[0].set_cut_off(false);

    // Who has saved which generation, when.
    let mut saved: HashMap<u64, usize> = HashMap::new();
    let (mut unknown, mut times, mut held_while_cut) = (Vec::new(), [Vec::new(), Vec::new()], false);
    for (host, at, line) in lines {
        let mut words = line.split(' ');
        match (words.next(), words.next().and_then(|number| number.parse::<u64>().ok())) {
            (Some("saved"), Some(generation)) => {
                let other = saved.insert(generation, host);
                assert_eq!(other, None, "generation {generation} was saved twice");
                times[host].push(at);
            }
            (Some("unknown"), Some(generation)) => unknown.push(generation),
            (Some("held"), _) => held_while_cut |= host == 0 && at > cut + LEASE && at < whole,
            _ => {}
        }
    }
    for mut program in programs {
        assert!(program.wait().unwrap().success());
    }
    let last: u64 = server.query("SELECT generation FROM hosts").parse().unwrap();
    for generation in 1..=last {
        assert!(saved.contains_key(&generation) || unknown.contains(&generation), "who saved {generation}?");
    }
    assert!(saved.keys().all(|generation| *generation <= last), "a save was lost");
    assert!(!held_while_cut, "a host that was cut off for its lease would have sent a request");

    let [cut_off, other] = times;
    let gap = |times: &[Instant]| times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    println!(
        "{last} saves in {:.0?}: {} by the host that was cut off, {} by the other; longest gap of the other {:.1?}",
        begun.elapsed(),
        cut_off.len(),
        other.len(),
        gap(&other)
    );
    assert!(cut_off.iter().any(|at| *at < cut) && cut_off.iter().any(|at| *at > whole), "it continues afterwards");
    assert!(gap(&other) < LEASE + Duration::from_secs(3), "the other one waits for a lease at most");
    assert!(other.iter().any(|at| *at > cut + LEASE && *at < whole), "the other one continues meanwhile");
}

/// What runs on a host: it counts, in the generation of one session.
#[test]
#[ignore = "a part of the test above"]
fn a_program_on_a_host() {
    let Ok(url) = env::var(URL) else { return };
    let store = open(&url, table("hosts")).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < RUN {
        thread::sleep(Duration::from_millis(5));
        let Ok(Some(mut lock)) = SessionStore::try_lock(&store, "alice") else { continue };
        let Ok(found) = lock.load() else { continue };
        // The time of a request.
        thread::sleep(Duration::from_millis(50));
        if lock.is_held() {
            println!("held");
        }
        let generation = found.as_ref().map_or(0, StoredRecord::generation) + 1;
        let expected = found.map_or(Expected::Nothing, |found| Expected::Generation(found.generation()));
        match lock.save(&record(generation, &format!("of process {}", std::process::id())), expected) {
            Ok(()) => println!("saved {generation}"),
            Err(SaveError::Unknown(_)) => println!("unknown {generation}"),
            Err(error) => println!("not saved: {error}"),
        }
    }
}
