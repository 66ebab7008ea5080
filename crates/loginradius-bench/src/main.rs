//! Measures this project beside what its users would pick instead:
//!
//!     cargo run --release -p loginradius-bench
//!
//! With the name of a part as its argument it measures that part alone: `core`, `token-read`, `end-to-end`, `memory`,
//! `growth` or `footprint`. Besides:
//!
//! - `core --json` prints the costs of the core's operations as one JSON array;
//! - `core --check` fails if one of them has grown since `core --update` wrote `baseline.json`.

mod baseline;
mod core;
mod end_to_end;
mod footprint;
mod growth;
mod memory;
mod token_read;
mod workers;

use std::process::ExitCode;

use loginradius_bench::{Result, WORKER};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] => PARTS.into_iter().try_for_each(compare),
        ["core", "--json"] => {
            println!("{}", serde_json::to_string(&core::measure()?)?);
            Ok(())
        }
        ["core", "--check"] => baseline::check(|| Ok(core::costs(&core::measure()?))),
        ["core", "--update"] => baseline::update(&core::costs(&core::measure()?)),
        [WORKER, arguments @ ..] => workers::run(arguments),
        [name] => compare(PARTS.into_iter().find(|(part, _)| part == name).ok_or_else(usage)?),
        _ => Err(usage().into()),
    }
}

fn compare((name, compare): Part) -> Result<()> {
    println!("## {name}\n\n    cargo run --release -p loginradius-bench -- {name}\n");
    compare()
}

type Part = (&'static str, fn() -> Result<()>);

/// What is measured, by the argument that selects it.
const PARTS: [Part; 6] = [
    ("core", core::compare),
    ("token-read", token_read::compare),
    ("end-to-end", end_to_end::compare),
    ("memory", memory::compare),
    ("growth", growth::compare),
    ("footprint", footprint::compare),
];

fn usage() -> String {
    let parts = PARTS.map(|(name, _)| format!("`{name}`")).join(", ");
    format!(
        "cannot tell what to measure from the arguments: use none, {parts}, or `core` with `--json`, `--check` or `--update`"
    )
}
