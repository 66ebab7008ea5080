//! Looks for secrets in the memory that each login frees.
//!
//! Fails if a block that our own code allocated is freed with a part of a secret in it. It also fails if a library that
//! SECURITY.md does not name leaves such blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use allocator::{Finding, watch};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callers::{Async, Blocking, Caller, Core};
use flows::Flow;
use owner::{Owner, Symbols};
use secrets::PASSWORD;
use server::Server;
use zeroize::Zeroizing;

mod allocator;
mod callers;
mod flows;
mod owner;
mod proxy;
mod secrets;
mod server;
mod threads;

fn main() -> ExitCode {
    server::serve_if_asked();
    let server = Server::start();
    check_that_it_finds();
    let mut report = Report::default();
    println!("{:<34}{:<12}{:>6}  of libraries", "flow", "by", "ours");
    report.watch(Core::NAME, flows::of_core(), &server);
    report.watch(Core::NAME, flows::of_caller::<Core>(), &server);
    report.watch(Blocking::NAME, flows::of_caller::<Blocking>(), &server);
    report.watch(Blocking::NAME, flows::of_adapter::<Blocking>(), &server);
    report.watch(Async::NAME, flows::of_caller::<Async>(), &server);
    report.watch(Async::NAME, flows::of_adapter::<Async>(), &server);
    report.conclude()
}

/// Checks that a part of a secret is found: as it is, in base64, in a text that grew, as `char`s, packed as where
/// errors are redacted, and in a thread that ends late.
fn check_that_it_finds() {
    let part = &PASSWORD[22..36];
    let frees: [fn(&str); 7] = [
        |part| drop(part.to_owned()),
        |part| drop(part.to_uppercase()),
        |part| drop(STANDARD.encode(format!("x:{part}")).into_bytes()),
        |part| {
            let mut text = Zeroizing::new(part.to_owned());
            text.push_str("grows");
        },
        |part| drop(part.chars().map(Some).collect::<Vec<_>>()),
        |part| drop(Box::new(part.chars().take(6).fold(0, |packed, char| packed << 21 | u128::from(u32::from(char))))),
        |part| {
            let text = part.to_owned();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                drop(text);
            });
        },
    ];
    for free in frees {
        assert!(!watch(|| free(part)).is_empty());
    }
    assert!(watch(|| drop(Zeroizing::new(part.to_owned()))).is_empty());
}

#[derive(Default)]
struct Report {
    symbols: Symbols,
    /// Where our own blocks were allocated, how many there are, and which secrets were in them.
    ours: BTreeMap<String, (usize, BTreeSet<&'static str>)>,
    libraries: BTreeSet<String>,
}

impl Report {
    fn watch(&mut self, caller: &str, flows: Vec<Flow>, server: &Server) {
        for (name, flow) in flows {
            let findings = watch(|| flow(server));
            self.add(name, caller, findings);
        }
    }

    fn add(&mut self, flow: &str, caller: &str, findings: Vec<Finding>) {
        let mut ours = 0;
        let mut libraries: BTreeMap<String, usize> = BTreeMap::new();
        for Finding { secret, size, allocated_by } in findings {
            match self.symbols.owner(&allocated_by) {
                Owner::Ours(place) => {
                    ours += 1;
                    let (count, secrets) = self.ours.entry(place).or_default();
                    *count += 1;
                    secrets.insert(secret);
                }
                Owner::Library(name) => *libraries.entry(name).or_default() += 1,
                Owner::Test => {}
                Owner::Unknown => *libraries.entry(format!("unknown ({size} bytes)")).or_default() += 1,
            }
        }
        let counts: Vec<String> = libraries.iter().map(|(name, count)| format!("{name} {count}")).collect();
        println!("{flow:<34}{caller:<12}{ours:>6}  {}", counts.join(", "));
        self.libraries.extend(libraries.into_keys());
    }

    fn conclude(self) -> ExitCode {
        let security = include_str!("../../../../SECURITY.md");
        let unnamed: Vec<&String> =
            self.libraries.iter().filter(|name| !security.contains(&format!("`{name}`"))).collect();
        if !unnamed.is_empty() {
            println!("\nSECURITY.md does not name libraries that leave secrets in freed memory: {unnamed:?}");
        }
        if !self.ours.is_empty() {
            println!("\nOur own code leaves secrets in freed memory:");
        }
        for (place, (count, secrets)) in &self.ours {
            println!("{count:>6}  {place}: {}", secrets.iter().copied().collect::<Vec<_>>().join(", "));
        }
        if unnamed.is_empty() && self.ours.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
