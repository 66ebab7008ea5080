//! Measures this project beside what its users would pick instead:
//!
//!     cargo run --release -p loginradius-bench
//!
//! With the name of a part as its argument it measures that part alone: `core` or `token-read`. `core --json` prints
//! the costs of the core's operations as one JSON array. `core --check` fails if one of them has grown since
//! `core --update` wrote `baseline.json`.

mod baseline;
mod core;
mod token_read;

use std::process::ExitCode;

use loginradius_bench::operations::{Implementation, Operation};
use loginradius_bench::{Result, valgrind};

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
        [] => {
            run(&["core"])?;
            run(&["token-read"])
        }
        ["core"] => {
            core::print(&core::measure()?);
            Ok(())
        }
        ["core", "--json"] => {
            println!("{}", serde_json::to_string(&core::measure()?)?);
            Ok(())
        }
        ["core", "--check"] => baseline::check(&core::costs(&core::measure()?)),
        ["core", "--update"] => baseline::update(&core::costs(&core::measure()?)),
        ["token-read"] => token_read::compare(),
        // What runs under valgrind.
        ["token-read", times] => token_read::read(times.parse().map_err(|_| USAGE)?),
        ["operation", operation, implementation, times] => {
            let operation = Operation::ALL.into_iter().find(|known| known.name() == *operation).ok_or(USAGE)?;
            let known = Implementation::ALL.into_iter().find(|known| known.name() == *implementation).ok_or(USAGE)?;
            let prepare = |times| known.prepare(operation, times).ok_or(USAGE);
            // What is made once for each process is made before.
            prepare(2)?();
            valgrind::counted(prepare(times.parse().map_err(|_| USAGE)?)?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

const USAGE: &str = "cannot tell what to measure from the arguments: use none, `core` (alone or with `--json`, `--check` or \
     `--update`) or `token-read`";
