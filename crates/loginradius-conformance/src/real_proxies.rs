//! Real proxies: tinyproxy and microsocks, where they are installed.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::{ConnectFailure, Error, ErrorKind, ProxyFault};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, app};
use crate::tls::Tls;

const USER: &str = "ada";
/// tinyproxy's settings allow only letters, digits and these marks.
const PASSWORD: &str = "s3-cr.t_1";
/// The same password, percent-encoded more than a URL requires.
const ENCODED_PASSWORD: &str = "s3%2Dcr%2et_%31";

/// A proxy in a process of its own, which is killed on drop.
struct RealProxy {
    child: Child,
    port: u16,
    config: Option<PathBuf>,
}

impl RealProxy {
    /// Starts it; `None` if it is not installed.
    fn start(program: &str, make: impl Fn(u16) -> (Command, Option<PathBuf>)) -> Option<Self> {
        // Another process may take the port before the proxy does.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let (mut command, config) = make(port);
            let Ok(child) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
                println!("skipped: {program} is not installed");
                remove(config.as_deref());
                return None;
            };
            let mut proxy = Self { child, port, config };
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until && proxy.child.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Some(proxy);
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        panic!("{program} does not start");
    }

    fn tinyproxy(with_credentials: bool) -> Option<Self> {
        Self::start("tinyproxy", |port| {
            let path = std::env::temp_dir().join(format!("loginradius-tinyproxy-{}-{port}.conf", std::process::id()));
            let login = if with_credentials { format!("BasicAuth {USER} {PASSWORD}\n") } else { String::new() };
            let lines = format!("Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 10\nMaxClients 20\n{login}");
            std::fs::write(&path, lines).unwrap();
            let mut command = Command::new("tinyproxy");
            command.arg("-d").arg("-c").arg(&path);
            (command, Some(path))
        })
    }

    fn microsocks(with_credentials: bool) -> Option<Self> {
        Self::start("microsocks", |port| {
            let mut command = Command::new("microsocks");
            command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            if with_credentials {
                command.args(["-u", USER, "-P", PASSWORD]);
            }
            (command, None)
        })
    }

    /// Returns its URL, with that user information in front of the host.
    fn url(&self, scheme: &str, user: &str) -> String {
        format!("{scheme}://{user}127.0.0.1:{}", self.port)
    }
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        remove(self.config.as_deref());
    }
}

fn remove(config: Option<&Path>) {
    if let Some(config) = config {
        let _ = std::fs::remove_file(config);
    }
}

/// Calls a server of this machine at 0.0.0.0, which no rule treats as this machine, so that the proxy is used.
fn call<A: Adapter>(proxy: &str) -> Result<(), Error> {
    let tls = Tls::of(&["0.0.0.0"]);
    let server = tls.server();
    let settings =
        Settings { root_certificates: Some(tls.root.clone()), proxy: Some(proxy.to_owned()), ..Settings::attempts(3) };
    let client = A::new(app(&server.https_url().replace("127.0.0.1", "0.0.0.0")), &settings).unwrap();
    for operation in [Operation::<A>::jwt(), Operation::refresh()] {
        (operation.call)(&client)?;
    }
    assert_eq!(server.requests().len(), 2);
    Ok(())
}

/// Calls a host that the proxy cannot find.
fn call_nowhere<A: Adapter>(proxy: &str) -> Error {
    let settings = Settings { proxy: Some(proxy.to_owned()), ..Settings::default() };
    let client = A::new(app("https://acme.invalid"), &settings).unwrap();
    (Operation::<A>::refresh().call)(&client).unwrap_err()
}

/// Checks that the line names the proxy, and no credentials.
fn check_line(error: &Error, proxy: &RealProxy, scheme: &str) {
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    let line = error.to_string();
    assert!(line.contains(&format!("the proxy {}", proxy.url(scheme, ""))), "{line}");
    for secret in [USER, PASSWORD, ENCODED_PASSWORD, "wrong"] {
        assert!(!line.contains(secret), "{line}");
    }
}

fn check_credentials<A: Adapter>(proxy: &RealProxy, scheme: &str) {
    call::<A>(&proxy.url(scheme, &format!("{USER}:{ENCODED_PASSWORD}@")))
        .unwrap_or_else(|error| panic!("{scheme}: {error:?}"));
    for user in ["", "ada:wrong@", "ada@"] {
        let error = call::<A>(&proxy.url(scheme, user)).unwrap_err();
        check_line(&error, proxy, scheme);
        let Some(ConnectFailure::Proxy { fault, .. }) = error.connect_failure() else { panic!("{error:?}") };
        match fault {
            ProxyFault::CredentialsRefused(_) => {
                assert!(!error.to_string().contains("attempts"), "a permanent failure is not tried again: {error}");
            }
            // tinyproxy refuses wrong credentials with 401, and reqwest reports no status but 407.
            ProxyFault::Refused(_) if scheme == "http" && !user.is_empty() => {}
            _ => panic!("{scheme}, {user}: {fault:?}"),
        }
    }
}

fn an_http_proxy_forwards<A: Adapter>() {
    let Some(proxy) = RealProxy::tinyproxy(false) else { return };
    call::<A>(&proxy.url("http", "")).unwrap();
    call::<A>(&proxy.url("http", "ada:unasked@")).unwrap();
    check_line(&call_nowhere::<A>(&proxy.url("http", "")), &proxy, "http");
}

fn an_http_proxy_requires_its_credentials<A: Adapter>() {
    let Some(proxy) = RealProxy::tinyproxy(true) else { return };
    check_credentials::<A>(&proxy, "http");
}

fn a_socks_proxy_forwards<A: Adapter>() {
    let Some(proxy) = RealProxy::microsocks(false) else { return };
    for scheme in ["socks5", "socks5h"] {
        call::<A>(&proxy.url(scheme, "")).unwrap_or_else(|error| panic!("{scheme}: {error:?}"));
    }
    check_line(&call_nowhere::<A>(&proxy.url("socks5h", "")), &proxy, "socks5h");
}

fn a_socks_proxy_requires_its_credentials<A: Adapter>() {
    let Some(proxy) = RealProxy::microsocks(true) else { return };
    for scheme in ["socks5", "socks5h"] {
        check_credentials::<A>(&proxy, scheme);
    }
}

cases!(($) real_proxies real_proxies_cases {
    an_http_proxy_forwards,
    an_http_proxy_requires_its_credentials,
    a_socks_proxy_forwards,
    a_socks_proxy_requires_its_credentials,
});
