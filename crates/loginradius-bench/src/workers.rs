//! What this program runs of itself, under valgrind or beside a measurement.

use std::path::Path;

use loginradius_bench::canned_server::{Address, Scheme, serve};
use loginradius_bench::held::Held;
use loginradius_bench::operations::{Implementation, Operation};
use loginradius_bench::round_trips::{Http, Side};
use loginradius_bench::{Result, valgrind};

use crate::{end_to_end, growth, token_read};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["serve", scheme, root] => serve(named(&Scheme::ALL, Scheme::name, scheme)?, Path::new(root)),
        ["token-read", times] => token_read::read(times.parse()?),
        ["operation", operation, implementation, times] => {
            let operation = named(&Operation::ALL, Operation::name, operation)?;
            let implementation = named(&Implementation::ALL, Implementation::name, implementation)?;
            let prepare =
                |times| implementation.prepare(operation, times).ok_or("the implementation has no such operation");
            // What is made once for each process is made before.
            prepare(2)?();
            valgrind::counted(prepare(times.parse()?)?);
            Ok(())
        }
        ["round-trips", side, http, operation, url, root, times] => {
            let side = named(&Side::ALL, Side::name, side)?;
            let http = named(&Http::ALL, Http::name, http)?;
            let operation = named(&Operation::ALL, Operation::name, operation)?;
            end_to_end::repeat(side, http, operation, &Address::new(url, root), times.parse()?)
        }
        ["hold", held, url, root, count] => {
            named(&Held::ALL, Held::name, held)?.hold(count.parse()?, &Address::new(url, root))
        }
        ["refresh-file", folder, refreshes] => growth::files::print_cpu(Path::new(folder), refreshes.parse()?),
        ["poll", logins, url, root] => growth::device_logins::poll(logins.parse()?, &Address::new(url, root)),
        _ => Err("a worker does not know its arguments".into()),
    }
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, wanted: &str) -> Result<T> {
    let found = all.iter().copied().find(|&one| name(one) == wanted);
    Ok(found.ok_or_else(|| format!("a worker does not know `{wanted}`"))?)
}
