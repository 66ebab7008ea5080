//! What depending on this project costs a program: crates, time for building, size, and the work of one login.

mod package;

use loginradius_bench::canned_server::{CannedServer, Scheme};
use loginradius_bench::{Result, row, valgrind};
use package::Package;

const CORE: Package = Package { name: "core", ours: &["loginradius-proto"], others: "", program: EMPTY };
const OAUTH2: Package = Package {
    name: "oauth2",
    ours: &[],
    others: "oauth2 = { version = \"5\", default-features = false }",
    program: EMPTY,
};
const EMPTY: &str = "fn main() {}";

const TOKIO: &str = "tokio = { version = \"1\", features = [\"rt\", \"time\"] }";
const PLAIN_UREQ: &str = "\
    serde = { version = \"1\", features = [\"derive\"] }\n\
    serde_json = \"1\"\n\
    ureq = { version = \"3\", default-features = false, features = [\"rustls\"] }";
const PLAIN_REQWEST: &str = "\
    reqwest = { version = \"0.13\", default-features = false, features = [\"form\", \"rustls\"] }\n\
    serde = { version = \"1\", features = [\"derive\"] }\n\
    serde_json = \"1\"\n\
    tokio = { version = \"1\", features = [\"rt\", \"time\"] }";

/// Programs that sign in a device, ours before the one that it is compared with.
const PROGRAMS: [[(&str, Package); 2]; 2] = [
    [
        (
            "`loginradius-blocking`",
            Package {
                name: "login-blocking",
                ours: &["loginradius-blocking"],
                others: "",
                program: include_str!("../../programs/blocking.rs"),
            },
        ),
        (
            "ureq 3 alone",
            Package {
                name: "login-ureq",
                ours: &[],
                others: PLAIN_UREQ,
                program: include_str!("../../programs/ureq.rs"),
            },
        ),
    ],
    [
        (
            "`loginradius-async`",
            Package {
                name: "login-async",
                ours: &["loginradius-async"],
                others: TOKIO,
                program: include_str!("../../programs/async.rs"),
            },
        ),
        (
            "reqwest 0.13 alone",
            Package {
                name: "login-reqwest",
                ours: &[],
                others: PLAIN_REQWEST,
                program: include_str!("../../programs/reqwest.rs"),
            },
        ),
    ],
];

pub(crate) fn compare() -> Result<()> {
    println!("Now six packages are built in a temporary folder, which takes minutes.\n");
    let folder = tempfile::tempdir()?;

    println!(
        "Building on the core alone, with `cargo build --release` from nothing; *oauth2* is without an HTTP client\n"
    );
    row(&["", "core", "oauth2", "core ÷ oauth2"]);
    row(&["---"; 4]);
    let [core, oauth2] = [CORE, OAUTH2].map(|package| package.write(folder.path()));
    let (core, oauth2) = (core?, oauth2?);
    let (ours, theirs) = (core.crates()?, oauth2.crates()?);
    let ratio = |ours: f64, theirs: f64| format!("{:.2}", ours / theirs);
    row(&["crates in the normal tree", &ours.to_string(), &theirs.to_string(), &ratio(ours as f64, theirs as f64)]);
    let (ours, theirs) = (core.build("core")?.as_secs_f64(), oauth2.build("oauth2")?.as_secs_f64());
    row(&["CPU s for a clean build", &format!("{ours:.1}"), &format!("{theirs:.1}"), &ratio(ours, theirs)]);

    println!("\nPrograms that sign in a device and end; the server is another process and speaks HTTP on 127.0.0.1\n");
    row(&["program", "stripped, MB", "÷ client alone", "instructions", "÷ client alone"]);
    row(&["---"; 5]);
    let server = CannedServer::start(Scheme::Http)?;
    let measure = |package: Package| -> Result<(f64, f64)> {
        let package = package.write(folder.path())?;
        package.build("programs")?;
        let program = package.program("programs");
        let size = program.metadata()?.len() as f64;
        Ok((size, valgrind::instructions_of(&program, &[&server.address().url])? as f64))
    };
    for [(our_name, ours), (name, client)] in PROGRAMS {
        let (ours, client) = (measure(ours)?, measure(client)?);
        for (name, (size, instructions)) in [(our_name, ours), (name, client)] {
            row(&[
                name,
                &format!("{:.2}", size / 1e6),
                &ratio(size, client.0),
                &format!("{instructions:.0}"),
                &ratio(instructions, client.1),
            ]);
        }
    }
    println!();
    Ok(())
}
