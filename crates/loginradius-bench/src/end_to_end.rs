//! One round trip of each adapter to a server in another process, beside the HTTP client alone.

use loginradius_bench::canned_server::{Address, CannedServer, Scheme};
use loginradius_bench::operations::Operation;
use loginradius_bench::round_trips::{Http, Side, takes_fresh_connection};
use loginradius_bench::valgrind::callgrind_of_process;
use loginradius_bench::{Result, row, timing};

const OPERATIONS: [Operation; 3] = [Operation::Device, Operation::JwtByToken, Operation::Refresh];

/// Prints instructions, then wall-clock times.
pub(crate) fn compare() -> Result<()> {
    println!(
        "Instructions of the client's process for one round trip to a server on 127.0.0.1. Plain is ureq or reqwest"
    );
    println!("alone, with the same timeouts and bytes.\n");
    row(&["client", "connection", "operation", "ours", "plain", "ours ÷ plain", "oauth2 over plain", "ours ÷ oauth2"]);
    row(&["---"; 8]);
    for_each(|http, scheme, operation, server| {
        let count = |side: Side| instructions(side, http, operation, server);
        let (ours, plain) = (count(Side::Ours)?, count(Side::Plain)?);
        let oauth2 = match operation {
            Operation::Device => Some(count(Side::Oauth2)?),
            _ => None,
        };
        let none = || "–".to_owned();
        row(&[
            http.name(),
            &connection(scheme, operation),
            operation.name(),
            &format!("{ours:.0}"),
            &format!("{plain:.0}"),
            &format!("{:.2}", ours / plain),
            &oauth2.map_or_else(none, |oauth2| format!("{oauth2:.0}")),
            &oauth2.map_or_else(none, |oauth2| format!("{:.2}", ours / oauth2)),
        ]);
        Ok(())
    })?;

    const ROUNDS: usize = 101;
    const CALLS: u32 = 10;
    println!(
        "\nWall-clock times of the same, in µs: medians of {ROUNDS} rounds of {CALLS} calls, in turns; the ratio is the"
    );
    println!("median over the pairs of rounds\n");
    row(&["client", "connection", "operation", "ours", "plain", "ours ÷ plain"]);
    row(&["---"; 6]);
    for_each(|http, scheme, operation, server| {
        let [ours, plain] = [Side::Ours, Side::Plain].map(|side| prepare(side, http, operation, server));
        let pair = timing::in_turns(ROUNDS, CALLS, ours?, plain?);
        row(&[
            http.name(),
            &connection(scheme, operation),
            operation.name(),
            &format!("{:.0}", pair.ours / 1e3),
            &format!("{:.0}", pair.theirs / 1e3),
            &format!("{:.2}", pair.ratio),
        ]);
        Ok(())
    })?;
    println!();
    Ok(())
}

/// Does one operation that many times, for a profiler.
pub(crate) fn repeat(side: Side, http: Http, operation: Operation, server: &Address, times: usize) -> Result<()> {
    let mut call = prepare(side, http, operation, server)?;
    (0..times).for_each(|_| call());
    Ok(())
}

fn prepare(side: Side, http: Http, operation: Operation, server: &Address) -> Result<Box<dyn FnMut()>> {
    Ok(side.prepare(http, operation, server)?.ok_or("the side does not have the operation")?)
}

fn for_each(mut measure: impl FnMut(Http, Scheme, Operation, &Address) -> Result<()>) -> Result<()> {
    for scheme in Scheme::ALL {
        let server = CannedServer::start(scheme)?;
        for http in Http::ALL {
            for operation in OPERATIONS {
                measure(http, scheme, operation, &server.address())?;
            }
        }
    }
    Ok(())
}

fn connection(scheme: Scheme, operation: Operation) -> String {
    format!("{}, {}", scheme.name(), if takes_fresh_connection(operation) { "fresh" } else { "kept" })
}

fn instructions(side: Side, http: Http, operation: Operation, server: &Address) -> Result<f64> {
    let arguments = ["round-trips", side.name(), http.name(), operation.name(), &server.url, &server.root];
    // What a process does at its start for random numbers differs from run to run by a million instructions.
    Ok(callgrind_of_process(&arguments, 1005)?.instructions)
}
