//! A hundred thousand sessions, a full disk, and a clock that is wrong.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use loginradius_store::{Expected, SaveError, SessionStore};
use loginradius_testing::postgres::PostgresServer;

use crate::common::{LEASE, lock, open, peek, record, server, short, table};

#[test]
#[ignore = "needs a server"]
fn a_hundred_thousand_sessions_are_found_by_indexes() {
    let server = server();
    let store = open(&server.url(), table("many")).unwrap();
    server.execute(
        "INSERT INTO many (key, name, record, generation, lease, lease_length, leased_until)
         SELECT sha256(name), name, 'a record', 1, 0, '0', '-infinity' FROM (
            SELECT convert_to('user-' || n || '/' || repeat('x', n % 200), 'UTF8') AS name
            FROM generate_series(1, 100000) n) names;
         ANALYZE many",
    );
    let started = Instant::now();
    let (mut pages, mut names) = (0, Vec::new());
    loop {
        let page = SessionStore::names(&store, "", names.last().map(String::as_str)).unwrap();
        if page.is_empty() {
            break;
        }
        pages += 1;
        names.extend(page);
    }
    println!("{} names in {pages} pages: {:.1?}", names.len(), started.elapsed());
    assert_eq!(names.len(), 100_000);
    assert!(names.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()));

    let started = Instant::now();
    assert_eq!(SessionStore::names(&store, "user-77777/", None).unwrap().len(), 1);
    assert_eq!(SessionStore::names(&store, "user-7777", None).unwrap().len(), 11);
    assert_eq!(SessionStore::names(&store, "user-x", None).unwrap().len(), 0);
    println!("three prefixes: {:.1?}", started.elapsed());

    let name = format!("user-777/{}", "x".repeat(777 % 200));
    let mut held = lock(&store, &name).unwrap();
    assert_eq!(held.load().unwrap(), Some(record(1, "a record")));
    held.save(&record(2, "another"), Expected::Generation(1)).unwrap();
    drop(held);
    // The whole table was read by none of them.
    let scans =
        "SELECT pg_stat_force_next_flush(); SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'many'";
    drop(store);
    sleep(Duration::from_millis(300));
    let read: u64 = server.query(scans).parse().unwrap();
    assert!(read < 100_000, "{read} rows were read one after the other");
}

/// A real disk that is full: the table is in a folder of a few megabytes.
#[test]
#[ignore = "needs a server, and root"]
fn a_full_disk_fails_a_save_and_loses_nothing() {
    let server = PostgresServer::start();
    let disk = SmallDisk::mount();
    disk.give_to_the_server();
    server.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.path().display()));
    let store = open(&server.url(), table("full_disk")).unwrap();
    server.execute("ALTER TABLE full_disk SET TABLESPACE small");
    let mut held = lock(&store, "alice").unwrap();
    let first = record(1, "first");
    held.save(&first, Expected::Nothing).unwrap();
    // Another table takes all that is left.
    server.execute("CREATE TABLE filler (text text) TABLESPACE small");
    let filler = "INSERT INTO filler SELECT repeat(md5(n::text), 60) FROM generate_series(1, 20) n";
    let full = (0..1000).find_map(|_| server.try_query(filler).err()).expect("it is full in the end");
    assert!(full.contains("No space left on device"), "{full}");
    let noise = (0..1 << 20).map(|n: u32| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26));
    let saved = held.save(&record(2, &noise.collect::<String>()), Expected::Generation(1));
    let Err(SaveError::Failed(error)) = saved else { panic!("{saved:?}") };
    println!("{error}");
    assert!(error.to_string().contains("(53100): free space on the server's disk"), "{error}");
    assert_eq!(held.load().unwrap(), Some(first));
    server.execute("DROP TABLE filler");
    held.save(&record(2, "second"), Expected::Generation(1)).unwrap();
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder.path()).status();
        assert!(mounted.unwrap().success(), "only root can mount a small disk");
        Self(folder)
    }

    fn give_to_the_server(&self) {
        let given = Command::new("chown").arg("postgres:postgres").arg(self.0.path()).status().unwrap();
        assert!(given.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// The clock of the database's machine is an hour off, and is set by an hour while a lock is held.
#[test]
#[ignore = "needs a server, and `faketime`"]
fn a_clock_of_the_server_that_is_an_hour_off_does_not_matter() {
    let server = PostgresServer::start();
    server.stop();
    server.start_with_clock("+1h");
    let ahead: bool = server.query("SELECT now() > '2020-01-01'") == "t";
    assert!(ahead);
    let open = || open(&server.url(), short(table("off"))).unwrap();
    let (one, other) = (open(), open());
    let mut held = lock(&one, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    sleep(LEASE * 2);
    assert!(lock(&other, "alice").is_none());
    assert!(held.is_held());
    // Set back: the lease seems to last for two hours, and is renewed by the clock of now.
    server.crash();
    server.start_with_clock("-1h");
    sleep(LEASE * 2);
    assert!(lock(&other, "alice").is_none());
    held.save(&record(2, "second"), Expected::Generation(1)).unwrap();
    drop(held);
    // A holder that has crashed is not waited for until the clock has caught up.
    std::mem::forget(lock(&one, "bob").unwrap());
    server.execute("UPDATE off SET lease = lease + 1 WHERE name = 'bob'");
    server.crash();
    server.start_with_clock("-2h");
    let waited = crate::common::eventually(LEASE * 3, || lock(&other, "bob").is_some());
    println!("free {waited:.1?} after the clock was set back by an hour");
    assert_eq!(peek(&other, "alice"), Some(record(2, "second")));
}
