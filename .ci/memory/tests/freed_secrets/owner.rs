//! Finds who is responsible for a block, by the calls that led to its allocation.

use std::collections::HashMap;

pub enum Owner {
    /// Allocated by a crate of this project, at that place.
    Ours(String),
    Library(String),
    /// Allocated by this test, which stands for the user's program.
    Test,
    Unknown,
}

/// Crates that allocate for their callers, as the standard library does.
const FOR_CALLERS: [&str; 17] = [
    "base64",
    "bytes",
    "form_urlencoded",
    "hmac_sha256",
    "http",
    "httparse",
    "httpdate",
    "percent-encoding",
    "serde",
    "serde_core",
    "serde_json",
    "serde_urlencoded",
    "smallvec",
    "tokio",
    "url",
    "zeroize",
    "zmij",
];

/// File and function where a type of the user's is read: serde_json decodes strings with escapes for it in memory of
/// its own, and writes an error there.
const FOR_USERS: (&str, &str) = ("loginradius-proto/src/wire/response.rs:", " json");

/// Where the test allocates for the future of an adapter.
const FOR_FUTURES: &str = " as_task<";

/// What is known of calls by their addresses, as far as it was needed.
#[derive(Default)]
pub struct Symbols(HashMap<usize, Vec<Call>>);

/// One call. Calls that the compiler has inlined share an address.
struct Call {
    /// The crate of its source file, as not every call has a function name with its crate.
    krate: String,
    place: String,
}

impl Symbols {
    /// Returns the owner: the innermost crate that did not allocate for its caller.
    pub fn owner(&mut self, calls: &[usize]) -> Owner {
        let mut by_test = false;
        let mut within = None;
        for address in calls {
            for call in self.calls(*address) {
                match call.krate.as_str() {
                    "loginradius" => {
                        let is_for_user = call.place.starts_with(FOR_USERS.0) && call.place.ends_with(FOR_USERS.1);
                        if is_for_user && within.as_deref() == Some("serde_json") {
                            return Owner::Library("serde_json".to_owned());
                        }
                        let within = within.map(|name| format!(", in {name}")).unwrap_or_default();
                        return Owner::Ours(format!("{}{within}", call.place));
                    }
                    "test" if call.place.contains(FOR_FUTURES) => return Owner::Ours(call.place.clone()),
                    // An endpoint or a `Serialize` of the test is called by the code that is watched.
                    "test" => by_test = true,
                    "std" | "allocator" => {}
                    name if FOR_CALLERS.contains(&name) => within = Some(name.to_owned()),
                    name if !by_test => return Owner::Library(name.to_owned()),
                    _ => return Owner::Test,
                }
            }
        }
        if by_test { Owner::Test } else { Owner::Unknown }
    }

    fn calls(&mut self, address: usize) -> &[Call] {
        self.0.entry(address).or_insert_with(|| {
            let mut calls = Vec::new();
            // The address is where the call returns to, so the call is the instruction before it.
            backtrace::resolve(address.saturating_sub(1) as *mut _, |symbol| {
                let name = symbol.name().map(|name| name.to_string()).unwrap_or_default();
                let file = symbol.filename().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
                let line = symbol.lineno().unwrap_or_default();
                let short = file.rsplit_once("/crates/").map_or(file.as_str(), |(_, file)| file);
                calls.push(Call {
                    krate: crate_of(&file).to_owned(),
                    place: format!("{short}:{line} {}", short_name(&name)),
                });
            });
            calls
        })
    }
}

/// Returns the crate of a source file.
fn crate_of(file: &str) -> &str {
    if file.contains("/crates/loginradius-") {
        return "loginradius";
    }
    if file.ends_with("freed_secrets/allocator.rs") || file.contains("/backtrace-") {
        return "allocator";
    }
    if file.contains("tests/freed_secrets/") {
        return "test";
    }
    // `…/registry/src/index.crates.io-1949cf8c6b5b557f/serde_json-1.0.145/src/ser.rs`
    let package = file.split_once("/registry/src/").and_then(|(_, rest)| rest.split('/').nth(1));
    match package.and_then(|package| package.rsplit_once('-')) {
        Some((name, _)) => name,
        None if file.is_empty() || file.contains("/rustc/") || file.contains("/library/") => "std",
        None => "unknown",
    }
}

/// Returns a function's name without its modules.
fn short_name(function: &str) -> &str {
    let function = match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => function,
    };
    let start = function.split(['<', '{']).next().unwrap_or(function).trim_end_matches("::").rfind("::");
    start.map_or(function, |start| &function[start + 2..])
}
