//! The system calls of requests over a kept connection: at most one thread and one DNS lookup for all of them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use loginradius_blocking::jwt::JwtByAccessToken;
use loginradius_blocking::{App, Client, Service};
use loginradius_conformance::tls::Tls;

const URL: &str = "LOGINRADIUS_SYSTEM_CALLS_URL";
const ROOT: &str = "LOGINRADIUS_SYSTEM_CALLS_ROOT";
/// Files that do not exist. Looking for them marks a place among the system calls.
const MARKS: [&str; 2] = ["/loginradius-calls-begin", "/loginradius-calls-end"];
const CALLS: usize = 200;

/// Makes the calls, in a process that is watched.
#[test]
#[ignore = "the child of `kept_connections_need_one_lookup_and_one_thread`"]
fn calls() {
    let service = Service::classic_at(&env::var(URL).unwrap()).unwrap();
    let app = App::new("my-api-key").with_jwt_app("my-jwt-app").with_service(service);
    let root = env::var(ROOT).unwrap();
    let client = Client::builder(app).root_certificates(root).build().unwrap();
    let _ = Path::new(MARKS[0]).exists();
    for _ in 0..CALLS {
        client.call(&JwtByAccessToken::new("b8cb84c9")).unwrap();
    }
    let _ = Path::new(MARKS[1]).exists();
}

#[test]
fn kept_connections_need_one_lookup_and_one_thread() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: there is no strace on this machine");
        return;
    }
    assert_eq!(threads_and_lookups("localhost"), (0, 0), "every system has this name");
    // A system usually gives its own name to this address.
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names = hosts.lines().filter_map(|line| line.strip_prefix("127.0.0.1")).flat_map(str::split_whitespace);
    match names.into_iter().find(|name| !name.contains("localhost")) {
        Some(name) => assert_eq!(threads_and_lookups(name), (1, 1), "{name}"),
        None => println!("skipped: /etc/hosts has no other name for 127.0.0.1"),
    }
}

/// Returns how many threads are started, and how often /etc/hosts is read, for all calls to the server of that name.
fn threads_and_lookups(name: &str) -> (usize, usize) {
    let tls = Tls::of(&[name]);
    let server = tls.server();
    let log = env::temp_dir().join(format!("loginradius-system-calls-{}", std::process::id()));
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=clone,clone3,openat,connect,statx,stat,newfstatat", "-o"])
        .arg(&log)
        .arg(env::current_exe().unwrap())
        .args(["calls", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(URL, server.https_url().replace("127.0.0.1", name))
        .env(ROOT, tls.root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();

    let calls = trace.split(MARKS[0]).nth(1).and_then(|trace| trace.split(MARKS[1]).next()).expect("both marks");
    let count = |what: &[&str]| calls.lines().filter(|line| what.iter().any(|what| line.contains(what))).count();
    let (threads, lookups) = (count(&[" clone(", " clone3("]), count(&["/etc/hosts\""]));
    println!("{name}: {CALLS} calls, {} connections, {threads} threads, {lookups} lookups", server.connections());
    assert_eq!((server.requests().len(), server.connections()), (CALLS, 1));
    let to_server = format!("htons({})", server.port());
    assert!(count(&[&to_server]) > 0, "the trace shows no connection: {calls}");
    (threads, lookups)
}
