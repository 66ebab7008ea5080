//! What operators do wrong: each is a sentence that says what to do, and none shows the password.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loginradius_proto::ErrorKind;
use loginradius_store::{Expected, SaveError, SessionStore};
use loginradius_store_postgres::PostgresSettings;
use loginradius_store_postgres::tokio_postgres::Config;
use loginradius_testing::postgres::{PASSWORD, PostgresServer};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::common::{LEASE, eventually, lock, open, peek, record, server, short, table};

/// Opens a store that cannot be opened, and compares the message.
#[track_caller]
fn refused(url: &str, settings: PostgresSettings, kind: ErrorKind, parts: [&str; 3]) {
    let since = Instant::now();
    let error = open(url, settings).expect_err("it cannot be opened");
    let text = error.to_string();
    println!("{text}");
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
    let printed = format!("{text} {error:?}");
    assert!(!printed.contains(PASSWORD) && !printed.contains("wr0ng"), "{printed}");
    assert!(!text.contains('\n') && text.len() < 400, "{text}");
    assert!(since.elapsed() < Duration::from_secs(8), "{text}");
}

#[test]
#[ignore = "needs a server"]
fn a_wrong_address_user_or_database() {
    let server = server();
    let (port, good) = (server.port(), table("operators"));
    let url = |user: &str, password: &str, port: u16, database: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
    };
    refused(
        &url("postgres", "wr0ng", port, "postgres"),
        good.clone(),
        ErrorKind::StoreRefused,
        ["could not connect to the database of the sessions", "password authentication failed", "correct the user"],
    );
    refused(
        &url("nobody", "wr0ng", port, "postgres"),
        good.clone(),
        ErrorKind::StoreRefused,
        ["could not connect", "(28P01)", "correct the user or the password"],
    );
    refused(
        &format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        good.clone(),
        ErrorKind::StoreRefused,
        ["could not connect", "password missing", "correct the user, the password or the connection's settings"],
    );
    refused(
        &url("postgres", PASSWORD, port, "missing"),
        good.clone(),
        ErrorKind::StoreRefused,
        ["could not connect", "\"missing\" does not exist (3D000)", "correct the name of the database, or create it"],
    );
    // A port where nothing listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    refused(
        &url("postgres", PASSWORD, free, "postgres"),
        good.clone(),
        ErrorKind::Unavailable,
        ["could not connect", "Connection refused", "check that PostgreSQL runs at this address, and the network"],
    );
    refused(
        &format!("postgres://postgres:{PASSWORD}@host.invalid:{port}/postgres"),
        good.clone(),
        ErrorKind::Unavailable,
        ["could not connect", "lookup", "check the host's name (in a URL, write `@` of a password as `%40`)"],
    );
    // A server that wants TLS of a client that has none.
    refused(
        &(url("postgres", PASSWORD, port, "postgres") + "?sslmode=require"),
        good.clone(),
        ErrorKind::StoreRefused,
        ["could not connect", "server does not support TLS", "turn TLS on at the server"],
    );
    // Something else listens there.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    refused(
        &url("postgres", PASSWORD, port, "postgres"),
        good.with_timeout(Duration::from_millis(500)).with_lease(Duration::from_secs(1)),
        ErrorKind::Unavailable,
        ["took too long", "no connection was made", "check its load and the network"],
    );
}

#[test]
#[ignore = "needs a server"]
fn a_wrong_table() {
    let server = server();
    let url = server.url();
    refused(
        &url,
        table("is_missing").with_existing_table(),
        ErrorKind::StoreRefused,
        ["the table \"is_missing\" does not exist", "without `with_existing_table`", "`PostgresSettings::schema`"],
    );
    server.execute("CREATE TABLE of_others (id int)");
    refused(
        &url,
        table("of_others"),
        ErrorKind::StoreRefused,
        ["\"of_others\" is not one of sessions", "choose another name with `with_table`", "comment"],
    );
    drop(open(&url, table("of_tomorrow")).unwrap());
    server.execute("COMMENT ON TABLE of_tomorrow IS 'LoginRadius sessions, version 2'");
    refused(
        &url,
        table("of_tomorrow"),
        ErrorKind::StoreRefused,
        ["a newer program made the table \"of_tomorrow\"", "version 2", "update this program"],
    );
    drop(open(&url, table("unlogged")).unwrap());
    server.execute("ALTER TABLE unlogged SET UNLOGGED");
    refused(
        &url,
        table("unlogged"),
        ErrorKind::StoreRefused,
        ["\"unlogged\" is UNLOGGED", "a crash of the server would empty it", "SET LOGGED"],
    );
    refused(
        &url,
        PostgresSettings::default().with_table("no_such_schema.session"),
        ErrorKind::StoreRefused,
        ["schema \"no_such_schema\" does not exist (3F000)", "create the schema of", "\"no_such_schema\""],
    );
}

#[test]
#[ignore = "needs a server"]
fn a_user_without_rights() {
    let server = server();
    drop(open(&server.url(), table("rights")).unwrap());
    server.execute(&format!("CREATE USER reader PASSWORD '{PASSWORD}'"));
    let url = format!("postgres://reader:{PASSWORD}@127.0.0.1:{}/postgres", server.port());
    server.execute("GRANT SELECT, INSERT, UPDATE ON rights TO reader");
    refused(
        &url,
        table("rights"),
        ErrorKind::StoreRefused,
        ["may not read and write the table \"rights\"", "GRANT SELECT, INSERT, UPDATE, DELETE", "to this user"],
    );
    refused(
        &url,
        table("not_created"),
        ErrorKind::StoreRefused,
        ["permission denied for schema public (42501)", "GRANT SELECT", "needs CREATE on its schema"],
    );
    server.execute("CREATE DATABASE closed");
    server.execute("REVOKE CONNECT ON DATABASE closed FROM public");
    refused(
        &format!("postgres://reader:{PASSWORD}@127.0.0.1:{}/closed", server.port()),
        table("rights"),
        ErrorKind::StoreRefused,
        ["could not connect", "permission denied for database \"closed\" (42501)", "GRANT CONNECT on it to this user"],
    );
    server.execute("GRANT DELETE ON rights TO reader");
    let store = open(&url, table("rights")).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    server.execute("REVOKE ALL ON rights FROM reader");
    let Err(SaveError::Failed(error)) = held.save(&record(1, "first"), Expected::Nothing) else { panic!("it may not") };
    assert!(error.to_string().contains("GRANT SELECT, INSERT, UPDATE, DELETE ON \"rights\""), "{error}");
}

#[test]
#[ignore = "needs a server"]
fn a_server_that_only_reads() {
    let server = PostgresServer::start();
    let store = open(&server.url(), table("readers")).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    let url = server.url() + "?options=-c%20default_transaction_read_only%3Don";
    refused(
        &url,
        table("another"),
        ErrorKind::StoreRefused,
        ["cannot execute CREATE TABLE in a read-only transaction (25006)", "connect to the primary server", ""],
    );
    let readers = open(&url, table("readers")).unwrap();
    let error = SessionStore::try_lock(&readers, "bob").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("target_session_attrs=read-write"), "{error}");

    // The server becomes a replica, as after a failover: the store's connections find the one that writes by themselves.
    server.stop();
    server.write("standby.signal", "");
    server.configure("primary_conninfo = 'host=127.0.0.1 port=1'\n");
    server.start_again();
    refused(
        &server.url(),
        table("readers"),
        ErrorKind::StoreRefused,
        ["a read-only replica", "connect to the primary server", "target_session_attrs"],
    );
    let Err(SaveError::Failed(error)) = held.save(&record(1, "first"), Expected::Nothing) else {
        panic!("it only reads")
    };
    assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
    server.execute("SELECT pg_promote()");
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
}

#[test]
#[ignore = "needs a server"]
fn a_certificate_that_is_not_trusted() {
    let server = PostgresServer::start();
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    server.write("server.crt", &issued.cert.pem());
    server.write("server.key", &issued.signing_key.serialize_pem());
    server.configure("ssl = on\n");
    server.stop();
    server.start_again();
    let trusting = |certificates: Vec<rustls::pki_types::CertificateDer<'static>>| {
        let mut roots = rustls::RootCertStore::empty();
        certificates.into_iter().for_each(|certificate| roots.add(certificate).unwrap());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        MakeRustlsConnect::new(versions.unwrap().with_root_certificates(roots).with_no_client_auth())
    };
    let open = |host: &str, tls: MakeRustlsConnect| {
        let url = format!("postgres://postgres:{PASSWORD}@{host}:{}/postgres?sslmode=require", server.port());
        let config: Config = url.parse().unwrap();
        table("secured").open(async move || config.connect(tls.clone()).await)
    };
    for (host, certificates) in [("localhost", vec![]), ("127.0.0.1", vec![issued.cert.der().clone()])] {
        let error = open(host, trusting(certificates)).expect_err("it is not trusted");
        println!("{error}");
        assert_eq!(error.kind(), ErrorKind::StoreRefused, "{error}");
        let text = error.to_string();
        for part in ["could not connect", "invalid peer certificate", "have the connecting function trust"] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }
    let store = open("localhost", trusting(vec![issued.cert.der().clone()])).unwrap();
    drop(lock(&store, "alice").unwrap());

    // The connecting function has no TLS, and the URL or the server asks for it.
    refused(
        &(server.url() + "?sslmode=require"),
        table("secured"),
        ErrorKind::StoreRefused,
        ["could not connect", "no TLS implementation", "have the connecting function use TLS in place of `NoTls`"],
    );
    server.write("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    server.stop();
    server.start_again();
    refused(
        &server.url(),
        table("secured"),
        ErrorKind::StoreRefused,
        ["could not connect", "no encryption (28000)", "connect with TLS if the server requires it"],
    );
}

/// What a server says in the middle of its work, by its code.
#[test]
#[ignore = "needs a server"]
fn a_full_disk_and_other_refusals() {
    let server = server();
    let store = open(&server.url(), short(table("refusing"))).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    let mut expected = Expected::Generation(1);
    for (code, failed, advice) in [
        ("53100", true, "free space on the server's disk"),
        ("53200", true, "try again later"),
        ("40P01", true, "try again later"),
        ("40001", true, "try again later"),
        ("23514", true, "is as `PostgresSettings::schema` makes it"),
        ("42703", true, "is as `PostgresSettings::schema` makes it"),
        ("XX000", false, "try again later"),
        ("57014", false, "try again later"),
        ("58030", false, "try again later"),
    ] {
        server.execute(&format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'it does not go' USING ERRCODE = '{code}', DETAIL = NEW.record::text; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE OF record ON refusing FOR EACH ROW EXECUTE FUNCTION refuse()"
        ));
        let saved = held.save(&record(2, "tok3n"), expected);
        let error = match (saved, failed) {
            (Err(SaveError::Failed(error)), true) | (Err(SaveError::Unknown(error)), false) => error,
            (saved, _) => panic!("{code}: {saved:?}"),
        };
        assert!(error.to_string().contains(advice) && error.to_string().contains(code), "{error}");
        // The server quotes the row, in hexadecimal.
        assert!(!format!("{error:?}").contains("746f6b336e"), "{error:?}");
        server.execute("DROP TRIGGER refuse ON refusing");
        assert_eq!(peek(&store, "alice").unwrap().generation(), expected.generation().unwrap());
        let next = expected.generation().unwrap() + 10;
        held.save(&record(next, "next"), expected).unwrap();
        expected = Expected::Generation(next);
    }
}

/// A deadlock that others cause is repeated, because it was certainly not done.
#[test]
#[ignore = "needs a server"]
fn a_deadlock_is_tried_again() {
    let server = server();
    server.execute("CREATE SEQUENCE deadlocks");
    let store = open(&server.url(), table("deadlock")).unwrap();
    let mut held = lock(&store, "alice").unwrap();
    server.execute(
        "CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('deadlocks') < 3 THEN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END IF;
            RETURN NEW; END $$;
         CREATE TRIGGER deadlock BEFORE UPDATE OF record ON deadlock FOR EACH ROW EXECUTE FUNCTION deadlock()",
    );
    held.save(&record(1, "first"), Expected::Nothing).unwrap();
    assert_eq!(server.query("SELECT last_value FROM deadlocks"), "3");
}

/// A save is durable whatever the database's default is, and nothing lowers a stricter one.
#[test]
#[ignore = "needs a server"]
fn a_save_waits_for_the_disk_whatever_the_default_is() {
    let server = server();
    server.execute(
        "CREATE TABLE seen (at text, setting text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (TG_ARGV[0], current_setting('synchronous_commit')); RETURN NEW; END $$",
    );
    drop(open(&server.url(), table("durable")).unwrap());
    server.execute("CREATE TRIGGER note BEFORE UPDATE OF record ON durable FOR EACH ROW EXECUTE FUNCTION note('save')");
    for (default, expected) in
        [("off", "on"), ("local", "on"), ("remote_write", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
    {
        server.execute(&format!("TRUNCATE seen, durable; ALTER USER postgres SET synchronous_commit = {default}"));
        let store = open(&server.url(), table("durable")).unwrap();
        let mut held = lock(&store, "alice").unwrap();
        held.save(&record(1, "first"), Expected::Nothing).unwrap();
        held.clear(Expected::Generation(1)).unwrap();
        assert_eq!(server.query("SELECT DISTINCT setting FROM seen"), expected, "{default}");
        drop(held);
    }
    server.execute("ALTER USER postgres RESET synchronous_commit");
}

/// No name of a table means something else in a statement.
#[test]
#[ignore = "needs a server"]
fn any_name_is_good_for_a_table() {
    let server = server();
    for name in ["settings", "unused", "held", "free", "renewed", "decision", "s", "h", "f", "lease", "user", "select"]
    {
        let store = open(&server.url(), short(table(name))).unwrap();
        let mut held = lock(&store, "alice").unwrap();
        held.save(&record(1, "first"), Expected::Nothing).unwrap();
        let until = format!("SELECT leased_until FROM \"{name}\"");
        let before = server.query(&until);
        eventually(LEASE, || server.query(&until) != before);
        drop(held);
        drop(lock(&store, "alice").unwrap());
        assert_eq!(SessionStore::names(&store, "", None).unwrap(), ["alice"]);
    }
}

/// Programs that open a table at the same time create one.
#[test]
#[ignore = "needs a server"]
fn twenty_programs_open_a_new_table_at_once() {
    let server = server();
    let url = server.url();
    std::thread::scope(|scope| {
        let programs: Vec<_> = (0..20).map(|_| scope.spawn(|| open(&url, table("at_once")).map(drop))).collect();
        for program in programs {
            program.join().unwrap().unwrap();
        }
    });
}
