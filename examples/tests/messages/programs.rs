//! The command lines of the examples, as a newcomer types them.

use std::net::{Ipv4Addr, TcpListener};

use loginradius_conformance::secrets;
use loginradius_emulator::{Emulator, seeded};

use crate::case::{Case, Said, case};
use crate::common::{Example, service};

/// Runs an example, and takes the first line of its error.
fn run(name: &str, arguments: &[&str]) -> Said {
    let ended = Example::start(name, arguments).end();
    assert!(!ended.success, "{name} {arguments:?}: {}", ended.stdout);
    let line = ended.stderr.lines().next().and_then(|line| line.strip_prefix("error: "));
    let line = line.unwrap_or_else(|| panic!("{name} {arguments:?}: {}", ended.stderr));
    Said::line_of(line)
}

/// Runs an example at an emulator, of whose app those options are.
fn run_at(emulator: &Emulator, name: &str, arguments: &[&str]) -> Said {
    run(name, &[&service(emulator)[..], arguments].concat())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!("a program with --oauth-app alone", { run("device_login", &["--oauth-app", "my-oauth-app"]) }),
        case!("a program with --client-secret alone", {
            run("password_login", &["--client-secret", secrets::CLIENT_SECRET])
        }),
        case!("a program with an address that is http", {
            let address = ["--base-url", "http://sso.example.com", "--client-id", "my-client-id"];
            run("device_login", &[&address[..], &["--oauth-app", "my-oauth-app"]].concat())
        }),
        case!("a program without --oauth-app", { run("device_login", &["--client-id", "my-client-id"]) }),
        case!("a program without --jwt-app", {
            run("jwt", &["--client-id", "my-client-id", "--access-token", secrets::ACCESS_TOKEN])
        }),
        case!("a program for a site without its address", {
            run("device_login", &["--client-id", "my-client-id", "--family", "site"])
        }),
        case!("a program that approves at a service", {
            run("device_login", &["--client-id", "my-client-id", "--oauth-app", "my-oauth-app", "--approve"])
        }),
        case!("a program without a user", { run("password_login", &["--client-id", "my-client-id"]) }),
        case!("a program without a user for a JWT", {
            run("jwt", &["--client-id", "my-client-id", "--jwt-app", "my-jwt-app"])
        }),
        case!("a program without a token to refresh", { run("refresh_and_revoke", &["--client-id", "my-client-id"]) }),
        case!("a program without a token for the profile", { run("own_endpoint", &["--client-id", "my-client-id"]) }),
        case!("a program with an API host and no client id", {
            run("own_endpoint", &["--api-url", "https://api.example.com"])
        }),
        case!("a program with an unknown OAuth app", {
            let emulator = Emulator::start().unwrap();
            let client = ["--base-url", emulator.base_url(), "--client-id", seeded::CLIENT_ID];
            run("device_login", &[&client[..], &["--oauth-app", "my-oauth-app"]].concat())
        }),
        case!("a program with a wrong password", {
            let emulator = Emulator::start().unwrap();
            run_at(&emulator, "password_login", &["--username", seeded::ADA.email, "--password", secrets::PASSWORD])
        }),
        case!("a program with a wrong secret", {
            let emulator = Emulator::start().unwrap();
            let client = ["--base-url", emulator.base_url(), "--client-id", seeded::CLIENT_ID];
            let secret = ["--client-secret", secrets::CLIENT_SECRET, "--code", secrets::CODE];
            run("authorization_code", &[&client[..], &secret].concat())
        }),
        case!("a program with a token that has expired", {
            let emulator = Emulator::start().unwrap();
            run_at(&emulator, "own_endpoint", &["--access-token", secrets::ACCESS_TOKEN])
        }),
        case!("a program with a dead address", {
            let address = ["--base-url", crate::case::REFUSED, "--client-id", "my-client-id"];
            run("password_login", &[&address[..], &["--username", "ada", "--password", secrets::PASSWORD]].concat())
        }),
        case!("a program whose port is taken", {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = taken.local_addr().unwrap().port().to_string();
            run("desktop_login", &["--port", &port])
        }),
        case!("a web service whose port is taken", {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            run("web_login", &["--listen", &taken.local_addr().unwrap().to_string()])
        }),
        case!("a web service whose key is not there", {
            let service = ["--client-id", "my-client-id", "--issuer", "https://acme.example/"];
            run("web_login", &[&service[..], &["--jwt-key", "/nowhere/key.pem"]].concat())
        }),
        case!("a web service without the key of its JWTs", { run("web_login", &["--client-id", "my-client-id"]) }),
        case!("a web service whose public address has a path", {
            run("web_login", &["--public-url", "https://app.example/login"])
        }),
        case!("a program whose store is a file", {
            let file = tempfile::NamedTempFile::new().unwrap();
            let path = file.path().to_str().unwrap();
            let emulator = Emulator::start().unwrap();
            run_at(&emulator, "session", &["--store", path]).with(path, "file")
        }),
    ]
}
