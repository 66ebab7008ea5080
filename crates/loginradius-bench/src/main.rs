//! Measures this project beside what its users would pick instead:
//!
//!     cargo run --release -p loginradius-bench
//!
//! With the name of a part as its argument it measures that part alone. `--help` lists them.

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
        [WORKER, arguments @ ..] => workers::run(arguments),
        _ if arguments.iter().any(|argument| ["--help", "-h"].contains(argument)) => {
            print!("{HELP}");
            Ok(())
        }
        [] => PARTS.into_iter().try_for_each(compare),
        ["core", "--json"] => {
            println!("{}", serde_json::to_string(&core::measure()?)?);
            Ok(())
        }
        ["core", "--check"] => baseline::check(|| Ok(core::costs(&core::measure()?))),
        ["core", "--update"] => baseline::update(&core::costs(&core::measure()?)),
        [name] => compare(PARTS.into_iter().find(|(part, _)| part == name).ok_or_else(|| unknown(arguments))?),
        _ => Err(unknown(arguments).into()),
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

fn unknown(arguments: &[&str]) -> String {
    format!("cannot tell what to measure from `{}`: `--help` lists what can be measured", arguments.join(" "))
}

const HELP: &str = "\
cargo run --release -p loginradius-bench -- [PART]

Without a part it measures all of them, and prints tables in Markdown:

  core        instructions and allocations for building a request and reading its response
  token-read  nanoseconds for reading a valid token of a session
  end-to-end  instructions and wall-clock time of one round trip
  memory      bytes on the heap for one more pending login or session
  growth      refreshes beside many files, many device logins at once, many sessions in memory
  footprint   crates, time for building, size of a program, instructions of a whole program

The guard of the core's costs:

  core --json    prints the costs of the core's operations as one JSON array
  core --check   fails if an operation costs more than in the baseline
  core --update  writes the baseline, crates/loginradius-bench/baseline.json

BENCHMARKS.md explains the figures, and what to do when the check fails.
";
