//! The memory that a program needs for each user.

use loginradius_bench::canned_server::{CannedServer, Scheme};
use loginradius_bench::held::Held;
use loginradius_bench::{Result, row, valgrind};

/// What is held, and what oauth2 has for the same.
const ROWS: [(&str, Held, Option<Held>); 4] = [
    ("pending `DeviceFlow` of a shared `App`", Held::DeviceFlow, Some(Held::Oauth2Details)),
    ("task with an async `Client::device_login`, pending", Held::LoginTask, Some(Held::Oauth2Task)),
    ("session handle", Held::SessionHandle, None),
    ("session handle, signed in, store on disk", Held::SignedIn, None),
];

pub(crate) fn compare() -> Result<()> {
    println!("Bytes on the heap for one more of them; a task of oauth2 sends over reqwest\n");
    row(&["held", "ours", "oauth2"]);
    row(&["---"; 3]);
    let server = CannedServer::start(Scheme::Http)?;
    let address = server.address();
    for (name, ours, oauth2) in ROWS {
        let bytes = |held: Held| -> Result<String> {
            let bytes = valgrind::live_bytes(&["hold", held.name(), &address.url, &address.root])?;
            Ok(format!("{bytes:.0}"))
        };
        let oauth2 = oauth2.map(bytes).transpose()?;
        row(&[name, &bytes(ours)?, oauth2.as_deref().unwrap_or("–")]);
    }
    println!();
    Ok(())
}
