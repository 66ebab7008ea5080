//! Servers of PostgreSQL and PgBouncer for tests: each in a temporary folder, on a port of its own.
//!
//! They need Debian's packages `postgresql` and `pgbouncer`, or programs of these names in `PATH`. A test that uses them
//! is ignored in an ordinary run.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server of PostgreSQL, which ends when this is dropped. Its user and its database are `postgres`.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
}

/// The password of the user `postgres`.
pub const PASSWORD: &str = "s3cret-of-the-database";

impl PostgresServer {
    /// Makes a server, and starts it.
    #[must_use]
    pub fn start() -> Self {
        let server = Self { folder: folder(), port: free_port() };
        let password = server.path("password");
        fs::write(&password, PASSWORD).expect("a file");
        own(&password);
        let data = server.data();
        let init = ["--auth-host=scram-sha-256", "--auth-local=trust", "--no-instructions", "--username=postgres"];
        run(server.command("initdb").args(init).arg("--pwfile").arg(password).arg("-D").arg(data));
        server.configure("max_connections = 300\nlisten_addresses = '127.0.0.1'\n");
        server.start_again();
        server
    }

    /// Adds lines to the configuration, which the next start reads.
    pub fn configure(&self, lines: &str) {
        self.add_to("postgresql.conf", lines);
    }

    fn add_to(&self, name: &str, lines: &str) {
        let text = fs::read_to_string(self.data().join(name)).expect("a configuration");
        self.write(name, &(text + lines));
    }

    /// Makes a server that other hosts of the network 10.0.0.0/8 can reach, and starts it.
    #[must_use]
    pub fn start_for_others() -> Self {
        let server = Self::start();
        server.configure("listen_addresses = '*'\n");
        server.add_to("pg_hba.conf", "host all all 10.0.0.0/8 scram-sha-256\n");
        server.stop();
        server.start_again();
        server
    }

    /// Writes a file into the folder of its data, which only the server can read.
    pub fn write(&self, name: &str, text: &str) {
        let file = self.data().join(name);
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        own(&file);
    }

    /// Returns the port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the database.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Starts a server that was stopped, and waits until it responds.
    pub fn start_again(&self) {
        self.start_by(self.pg_ctl());
    }

    /// Starts a server that was stopped, with a clock that differs by that, as in `+1h` (Debian: faketime).
    pub fn start_with_clock(&self, offset: &str) {
        // What the program `faketime` does, which waits for the server itself.
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
        assert!(Path::new(&library).exists(), "faketime is missing: {library}");
        let mut command = self.command("env");
        command.arg(format!("LD_PRELOAD={library}")).arg(format!("FAKETIME={offset}")).arg("DONT_FAKE_MONOTONIC=1");
        command.arg(program("pg_ctl")).arg("-D").arg(self.data()).arg("-s");
        self.start_by(command);
    }

    fn start_by(&self, mut pg_ctl: Command) {
        let options = format!("-p {} -k {}", self.port, self.folder.path().display());
        run(pg_ctl.arg("start").arg("-w").arg("-t").arg("60").arg("-l").arg(self.path("log")).arg("-o").arg(options));
    }

    /// Stops the server as a crash would: its memory is lost, and its next start recovers.
    pub fn crash(&self) {
        run(self.pg_ctl().args(["stop", "-m", "immediate"]));
    }

    /// Stops the server, and has it close its connections.
    pub fn stop(&self) {
        run(self.pg_ctl().args(["stop", "-m", "fast"]));
    }

    /// Runs SQL as the user `postgres`, and returns its rows, with `|` between columns.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[must_use = "SQL for its effect is run with `execute`"]
    pub fn query(&self, sql: &str) -> String {
        self.try_query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL as [`query`](Self::query) does. The error is what the server says.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub fn try_query(&self, sql: &str) -> Result<String, String> {
        let (host, port) = (self.folder.path(), self.port.to_string());
        let output = Command::new(program("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-d",
                "postgres",
                "-p",
                &port,
                "-h",
            ])
            .arg(host)
            .args(["-c", sql])
            .output()
            .expect("psql");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8(output.stdout).expect("text").trim().to_owned())
    }

    /// Runs SQL for its effect.
    pub fn execute(&self, sql: &str) {
        let _ = self.query(sql);
    }

    /// Returns what the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(self.data()).arg("-s");
        command
    }

    fn command(&self, name: &str) -> Command {
        let mut command = unprivileged(&program(name));
        command.current_dir(self.folder.path());
        command
    }

    /// Returns the folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let _ = self.pg_ctl().args(["stop", "-m", "immediate"]).stderr(Stdio::null()).status();
    }
}

/// A PgBouncer in transaction mode before a server, which ends when this is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    _folder: TempDir,
    process: Child,
    port: u16,
}

impl PgBouncer {
    /// Starts it. Its pool has that many connections.
    #[must_use]
    pub fn start(server: &PostgresServer, pool_size: u32) -> Self {
        let (folder, port) = (folder(), free_port());
        let users = folder.path().join("users.txt");
        fs::write(&users, format!("\"postgres\" \"{PASSWORD}\"\n")).expect("a file");
        own(&users);
        let (server, users) = (server.port, users.display().to_string());
        let lines = [
            "[databases]".to_owned(),
            format!("postgres = host=127.0.0.1 port={server}"),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
            "unix_socket_dir =".to_owned(),
            "auth_type = scram-sha-256".to_owned(),
            format!("auth_file = {users}"),
            "pool_mode = transaction".to_owned(),
            format!("default_pool_size = {pool_size}"),
            "max_client_conn = 1000".to_owned(),
        ];
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, lines.join("\n") + "\n").expect("a file");
        own(&file);
        let program = program("pgbouncer");
        let process = unprivileged(&program).arg("-q").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("pgbouncer");
        wait_for_port(port);
        Self { _folder: folder, process, port }
    }

    /// Returns the URL of the server's database through it.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn url(port: u16) -> String {
    format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    own(folder.path());
    folder
}

/// Returns where a program is. Debian keeps those of the server out of `PATH`.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|folders| folders.flatten().map(|folder| folder.path().join("bin").join(name)).collect())
        .unwrap_or_default();
    versions.retain(|path| path.exists());
    versions.sort();
    versions.pop().unwrap_or_else(|| name.into())
}

/// The servers refuse to run as root.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn own(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("postgres:postgres").arg(path));
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id");
    output.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn wait_for_port(port: u16) {
    let since = Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "no server at port {port}");
        sleep(Duration::from_millis(20));
    }
}
