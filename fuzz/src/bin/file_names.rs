//! Names of sessions, and names of files that others have put into a store's folder, one a line.
//!
//! - The files of each session have the documented name. It is safe on every system, even where `A` is taken for `a`,
//!   and no other session's files begin with it.
//! - Each name is listed as it is when it has a record, by each of its prefixes.
//! - Of files that others have put there, exactly those are listed that a second reader takes for a session's.
//! - Opening a store removes what killed programs have left, and no other file.

#![cfg_attr(fuzzing, no_main)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::digest;
use loginradius_store::{Expected, FileStore, SessionStore, StoredRecord};
use tempfile::TempDir;

loginradius_fuzz::target!(file_names);

/// The most lines of an input: each takes some system calls.
const MAX_LINES: usize = 20;

fn file_names(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').take(MAX_LINES).collect();
    let names: BTreeSet<String> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    names_have_files_of_their_own(&names);
    hostile_files_are_not_listed(&lines);
}

/// A folder in memory, where there is one: flushing it takes no time.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

fn files(folder: &Path) -> BTreeSet<Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.expect("a file").file_name().into_vec()).collect()
}

/// Creates an empty file, unless it exists or the system allows no such name.
fn put(folder: &Path, name: &[u8]) {
    let path = folder.join(OsStr::from_bytes(name));
    if !name.is_empty() && !name.contains(&b'/') && path.parent() == Some(folder) {
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
}

fn names_have_files_of_their_own(names: &BTreeSet<String>) {
    let folder = folder();
    let store = FileStore::open(folder.path()).expect("the folder can be used");
    let mut stems = BTreeMap::new();
    for name in names {
        let before = files(folder.path());
        let lock = SessionStore::try_lock(&store, name).expect("every text is a name");
        let mut lock = lock.unwrap_or_else(|| panic!("{name:?} has the file of another one"));
        let after = files(folder.path());
        let new: Vec<&Vec<u8>> = after.difference(&before).collect();
        let [file] = new[..] else { panic!("{name:?} has the files {new:?}") };
        let file = std::str::from_utf8(file).expect("ASCII");
        let stem = file.strip_suffix(".lock").expect("the lock's file");
        assert_eq!(stem, expected_stem(name), "{name:?}");
        // Safe where `A` is taken for `a`, and for shells, archives and Windows.
        let safe = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        assert!(stem.starts_with("session-") && stem.bytes().all(safe), "{stem}");
        // eCryptfs has the shortest limit, 143 bytes.
        assert!(format!("{stem}.json.damaged-4294967295").len() <= 143, "{stem}");
        assert_eq!(stems.insert(stem.to_owned(), name), None);
        lock.save(&StoredRecord::from_bytes(*b"tokens"), Expected::Nothing).expect("there is no record");
    }
    assert!(listed(&store, "").iter().eq(names));
    if let Some(name) = names.last() {
        for (end, _) in name.char_indices().step_by(7) {
            let prefix = &name[..end];
            assert!(listed(&store, prefix).iter().eq(names.iter().filter(|name| name.starts_with(prefix))));
        }
    }
}

fn listed(store: &FileStore, prefix: &str) -> Vec<String> {
    SessionStore::names(store, prefix, None).expect("the folder can be read")
}

/// Encodes a name as the documentation says.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| if is_plain(byte) { char::from(byte).into() } else { format!("_{byte:02x}") }).collect()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn expected_stem(name: &str) -> String {
    let encoded = encoded(name);
    if encoded.len() <= 100 {
        return format!("session-{encoded}");
    }
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("session-{}_x{digest}", &encoded[..30])
}

fn hostile_files_are_not_listed(lines: &[&[u8]]) {
    let folder = folder();
    for line in lines {
        put(folder.path(), line);
        put(folder.path(), &[b"session-", *line, b".json"].concat());
    }
    let before = files(folder.path());
    let store = FileStore::open(folder.path()).expect("the folder can be used");
    let after = files(folder.path());
    let removed: BTreeSet<_> = before.iter().filter(|name| is_left_over(name)).cloned().collect();
    assert_eq!(before.difference(&after).cloned().collect::<BTreeSet<_>>(), removed);
    for new in after.difference(&before) {
        let lock = new.strip_suffix(b".lock").expect("the lock of what was removed");
        assert!(removed.iter().any(|name| name.starts_with(&[lock, b".tmp"].concat())), "{new:?}");
    }

    let mut expected: Vec<String> = after.iter().filter_map(|name| decoded(name)).collect();
    expected.sort();
    assert_eq!(listed(&store, ""), expected);
}

/// Reads the name of a session from that of its record's file.
fn decoded(file: &[u8]) -> Option<String> {
    let stem = file.strip_prefix(b"session-")?.strip_suffix(b".json")?;
    if stem.len() > 100 {
        return None;
    }
    let mut parts = stem.split(|byte| *byte == b'_');
    let mut name = parts.next()?.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let value = |digit: &u8| b"0123456789abcdef".iter().position(|known| known == digit);
        let byte = u8::try_from(value(&digits[0])? * 16 + value(&digits[1])?).ok()?;
        if is_plain(byte) {
            return None;
        }
        name.push(byte);
        name.extend(rest);
    }
    let plain = stem.iter().all(|byte| is_plain(*byte) || *byte == b'_');
    String::from_utf8(name).ok().filter(|_| plain)
}

/// Returns whether it is a temporary file of a save, or the file of a probe.
fn is_left_over(file: &[u8]) -> bool {
    let Ok(file) = std::str::from_utf8(file) else { return false };
    let hexadecimal = |text: &str| text.chars().all(|letter| letter.is_digit(16) && !letter.is_uppercase());
    if let Some(number) = file.strip_prefix("probe-").and_then(|rest| rest.strip_suffix(".lock")) {
        return number.len() == 16 && hexadecimal(number);
    }
    let Some((stem, end)) = file.split_once(".tmp") else { return false };
    let session =
        stem.strip_prefix("session-").is_some_and(|stem| stem.bytes().all(|byte| is_plain(byte) || byte == b'_'));
    session && (end.is_empty() || end.strip_prefix('-').is_some_and(hexadecimal))
}
