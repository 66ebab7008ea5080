//! Calls of the system that fail: a library that is preloaded into child processes makes them (`faults.c`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use loginradius_proto::Error;
use loginradius_store::{Expected, FileStore, LoadError, SaveError, SessionStore};
use tempfile::TempDir;

use crate::children::{child, folder, succeeded};
use crate::record;

const EPERM: u32 = 1;
const ENOENT: u32 = 2;
const EINTR: u32 = 4;
const EIO: u32 = 5;
const EBADF: u32 = 9;
const EAGAIN: u32 = 11;
const EACCES: u32 = 13;
const ENXIO: u32 = 6;
const EBUSY: u32 = 16;
const EXDEV: u32 = 18;
const ENODEV: u32 = 19;
const EISDIR: u32 = 21;
const EINVAL: u32 = 22;
const ETXTBSY: u32 = 26;
const EFBIG: u32 = 27;
const ENOSPC: u32 = 28;
const EROFS: u32 = 30;
const EMLINK: u32 = 31;
const ENAMETOOLONG: u32 = 36;
const ENOSYS: u32 = 38;
const ELOOP: u32 = 40;
const EOPNOTSUPP: u32 = 95;
const ENOTCONN: u32 = 107;
const ETIMEDOUT: u32 = 110;
const EHOSTDOWN: u32 = 112;
const ESTALE: u32 = 116;
const EDQUOT: u32 = 122;

const ALWAYS: u32 = 1_000;

fn report<T>(what: &str, outcome: Result<T, Error>) -> Option<T> {
    match outcome {
        Ok(value) => {
            println!("{what}: done");
            Some(value)
        }
        Err(error) => {
            println!("{what}: {} {error}", error.kind().as_str());
            None
        }
    }
}

fn report_save(what: &str, outcome: Result<(), SaveError>) {
    match outcome {
        Ok(()) => println!("{what}: done"),
        Err(SaveError::Failed(error)) => println!("{what}: failed {} {error}", error.kind().as_str()),
        Err(SaveError::Unknown(error)) => println!("{what}: unknown {} {error}", error.kind().as_str()),
        Err(other) => println!("{what}: {other:?}"),
    }
}

/// Uses a store, and reports what became of each step.
#[test]
#[ignore = "another test's child"]
fn child_uses_a_store() {
    let Some(folder) = folder() else { return };
    println!();
    let Some(store) = report("open", FileStore::open(folder.join("sessions"))) else { return };
    report("names", SessionStore::names(&store, "", None));
    let Some(lock) = report("lock", SessionStore::try_lock(&store, "default")) else { return };
    let mut lock = lock.unwrap();
    report_save("login", lock.save(&record(1, "t"), Expected::Nothing));
    let loaded = lock.load().map_err(|error| match error {
        LoadError::Failed(error) | LoadError::Damaged { error, .. } => error,
    });
    let found = report("load", loaded).flatten().map(|record| record.generation());
    report_save("refresh", lock.save(&record(2, "t"), found.map_or(Expected::Nothing, Expected::Generation)));
    let path = folder.join("sessions").join("session-default.json");
    if path.exists() {
        fs::write(path, "damaged").unwrap();
        let found = lock.load().ok().flatten().map(|record| record.generation());
        report_save("over damaged", lock.save(&record(3, "t"), Expected::Damaged(found.unwrap_or_default())));
        report_save("clear", lock.clear(Expected::Generation(3)));
    }
}

/// The library, compiled.
struct Library(TempDir);

impl Library {
    fn new() -> Option<Self> {
        let library = Self(tempfile::tempdir().unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/faults.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-o"]).args([&library.path(), &source]).arg("-ldl");
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("NOT TESTED here, because there is no C compiler: child_uses_a_store");
            return None;
        }
        Some(library)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("faults.so")
    }
}

struct Run {
    around: TempDir,
    output: String,
    calls: String,
}

impl Run {
    fn new(library: &Library, faults: &str) -> Self {
        let around = tempfile::tempdir().unwrap();
        let log = around.path().join("log");
        let mut command = child("faults::child_uses_a_store", around.path());
        command.env("LD_PRELOAD", library.path()).env("FAULTS", faults).env("LOG", &log);
        let start = Instant::now();
        let output = succeeded(command.spawn().unwrap());
        assert!(start.elapsed() < Duration::from_secs(8), "{faults}: {:?}", start.elapsed());
        let calls = fs::read_to_string(log).unwrap();
        Self { around, output, calls }
    }

    #[track_caller]
    fn expect(&self, fault: &str, lines: &[(&str, &str)]) {
        let steps = ["open", "names", "lock", "login", "load", "refresh", "over damaged", "clear"];
        for step in steps {
            let begin = format!("{step}: ");
            let found = self.output.lines().find_map(|line| line.strip_prefix(&begin));
            match (lines.iter().find(|(name, _)| *name == step), found) {
                (Some((_, words)), Some(found)) => assert!(found.contains(words), "{fault}: {step}: {found}"),
                (None, found) => assert!(found.is_none_or(|found| found == "done"), "{fault}: {}", self.output),
                (Some(_), None) => panic!("{fault}: no {step}: {}", self.output),
            }
        }
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.around.path().join("sessions")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }
}

/// What it is refused for, and each step's outcome if that is not success.
#[test]
fn each_fault_of_a_file_system_is_overcome_or_told() {
    let Some(library) = Library::new() else { return };
    let mut rows: Vec<(String, Vec<(&str, &str)>)> = Vec::new();
    let mut row =
        |call: &str, path: &str, error: u32, skip: u32, times: u32, lines: &[(&'static str, &'static str)]| {
            rows.push((format!("{call} {path} {error} {skip} {times}"), lines.to_vec()));
        };
    // What passes.
    for error in [EACCES, EPERM, EBUSY, ETXTBSY, EINTR, EAGAIN, ESTALE] {
        row("rename", "session-default.json", error, 0, 2, &[]);
        row("unlink", "session-default.json", error, 0, 2, &[]);
        row("open", "session-default.tmp", error, 0, 2, &[]);
    }
    for file in ["session-default.lock", "session-default.json"] {
        row("open", file, EACCES, 0, 1, &[]);
        row("open", file, ESTALE, 0, 3, &[]);
    }
    row("open", ".lock", EBUSY, 0, 1, &[]);
    // The second handle of the probe: another program has taken the file for one that a killed program left.
    row("open", ".lock", ENOENT, 1, 1, &[]);
    for error in [EBUSY, EINTR, EAGAIN, ESTALE] {
        row("open", "/sessions", error, 1, 2, &[]);
        row("fsync", "/sessions", error, 1, 2, &[]);
        row("read", "session-default.json", error, 0, 2, &[]);
        row("readdir", "/sessions", error, 0, 3, &[]);
        for file in ["/sessions", ".lock", "session-default.tmp", "session-default.json"] {
            row("statx", file, error, 0, 2, &[]);
            row("statx", file, error, 1, 2, &[]);
            row("statx", file, error, 2, 2, &[]);
        }
    }
    row("mkdir", "sessions", ESTALE, 0, 1, &[]);
    row("unlink", ".lock", EBUSY, 0, 2, &[]);
    // What a file system cannot do.
    for error in [EPERM, EOPNOTSUPP, EMLINK, ENOSYS, EACCES, EXDEV, EINVAL] {
        row("link", "session-default.json", error, 0, ALWAYS, &[]);
    }
    for error in [EINVAL, EOPNOTSUPP, ENOSYS, EBADF] {
        row("fsync", "/sessions", error, 0, ALWAYS, &[]);
    }
    for error in [EACCES, EPERM, EISDIR] {
        row("open", "/sessions", error, 0, ALWAYS, &[]);
    }
    // What lasts, or must not be taken for success.
    for error in [EIO, EINVAL, EOPNOTSUPP, ENOSYS, EBADF, EROFS] {
        row("fsync", "session-default.tmp", error, 0, 1, &[("login", "failed ")]);
    }
    row("rename", "session-default.json", EIO, 0, 1, &[("login", "failed unavailable cannot replace")]);
    row("rename", "session-default.json", EIO, 0, 1, &[("login", "failed, Input/output error (os error 5): try")]);
    row("fsync", "session-default.tmp", EFBIG, 0, 1, &[("login", "raise the limit (`ulimit -f`)")]);
    for error in [ENXIO, ENODEV, ENOTCONN, EHOSTDOWN, ETIMEDOUT] {
        row("open", "session-default.lock", error, 0, ALWAYS, &[("lock", "unavailable cannot open")]);
        row("open", "session-default.lock", error, 0, ALWAYS, &[("lock", ": mount it again, or try again later")]);
    }
    row("read", "session-default.json", EIO, 0, 1, &[("load", "unavailable cannot read"), ("refresh", "Conflict")]);
    row("statx", "/sessions", EIO, 2, 1, &[("login", "failed unavailable cannot open")]);
    row("readdir", "/sessions", EIO, 0, 2, &[("names", "unavailable cannot list")]);
    row("rename", "session-default.json", ENOSPC, 0, 1, &[("login", "failed unavailable cannot replace")]);
    row("rename", "session-default.json", EDQUOT, 0, 1, &[("login", "quota")]);
    row("fsync", "/sessions", EIO, 0, 1, &[("open", "unavailable cannot write durably in")]);
    row("fsync", "/sessions", EIO, 1, 1, &[("login", "unknown unavailable cannot write durably in")]);
    row("fsync", "/sessions", EROFS, 1, 1, &[("login", "unknown store_refused cannot write durably in")]);
    row("mkdir", "sessions", EROFS, 0, 1, &[("open", "store_refused cannot create the folder")]);
    row("mkdir", "sessions", ENOSPC, 0, 1, &[("open", "unavailable cannot create the folder")]);
    row("mkdir", "sessions", ELOOP, 0, 1, &[("open", "lead in a circle: choose another folder")]);
    row("open", ".lock", EIO, 1, 1, &[("open", "unavailable cannot open")]);
    row("open", "session-default.lock", ENAMETOOLONG, 0, ALWAYS, &[("lock", "store_refused cannot open")]);
    row("open", "session-default.lock", EROFS, 0, ALWAYS, &[("lock", "the file system mounted at `")]);
    row("open", "session-default.lock", EACCES, 0, ALWAYS, &[("lock", "although its mode permits it to user")]);
    row("open", "session-default.tmp", ENOSPC, 0, 1, &[("login", "failed unavailable cannot open")]);
    // A copy that is not durable is none.
    let link = format!("link session-default.json {EPERM} 0 {ALWAYS};");
    for fault in [format!("fsync .damaged-1 {EIO} 0 1"), format!("open .damaged-1 {ENOSPC} 0 1")] {
        rows.push((
            format!("{link}{fault}"),
            vec![("over damaged", "failed unavailable cannot keep"), ("clear", "Conflict")],
        ));
    }

    let (rows, library) = (&rows, &library);
    std::thread::scope(|scope| {
        for part in rows.chunks(rows.len().div_ceil(4)) {
            scope.spawn(move || {
                for (fault, lines) in part {
                    let run = Run::new(library, fault);
                    run.expect(fault, lines);
                    if lines.is_empty() {
                        let files = ["session-default.json.damaged-1", "session-default.lock"];
                        assert_eq!(run.files(), files, "{fault}: {}", run.output);
                    }
                    let call = fault.split(' ').next().unwrap();
                    assert!(run.calls.contains(call), "{fault}: {}", run.calls);
                }
            });
        }
    });
}

/// Without the flush of the file, a loss of power could leave an empty file in place of the record.
#[test]
fn a_record_is_flushed_before_it_is_renamed_and_the_folder_after() {
    let Some(library) = Library::new() else { return };
    let link = format!("link session-default.json {EPERM} 0 {ALWAYS}");
    let run = Run::new(&library, &link);
    let login: Vec<&str> = run.calls.lines().skip_while(|line| *line != "open session-default.lock").collect();
    let save = ["open session-default.tmp", "open session-default.json", "fsync session-default.tmp"];
    let replace = ["rename session-default.json", "open sessions", "fsync sessions"];
    assert_eq!(login[1..7], [save, replace].concat(), "{}", run.calls);
    let copy = [
        "fsync session-default.tmp",
        "link session-default.json",
        "open session-default.json.damaged-1",
        "fsync session-default.json.damaged-1",
        "open sessions",
        "fsync sessions",
    ];
    let copied = login.windows(9).filter(|calls| **calls == [&copy[..], &replace].concat());
    assert_eq!(copied.count(), 1, "{}", run.calls);
}
