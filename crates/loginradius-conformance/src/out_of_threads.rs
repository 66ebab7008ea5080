//! A program that may start no more threads: the lookup of a name needs one.

use std::thread;

use loginradius_proto::{ConnectFailure, ErrorKind};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::operations::{Operation, app};

fn a_thread_that_cannot_be_started_is_named<A: Adapter>() {
    if child::argument().is_none() {
        // No address space has room for such a stack. The standard library reads this at the first thread, and the
        // harness runs a single test on the main thread.
        let mut child = child::command("without threads", &[("RUST_MIN_STACK", "70368744177664")]);
        let output = child.arg("--test-threads=1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("1 passed"), "{text}");
        return;
    }
    assert!(thread::Builder::new().spawn(|| {}).is_err(), "there are threads");
    let settings = Settings { without_proxy: true, ..Settings::default() };
    let client = A::new(app("https://sso.name.invalid"), &settings).unwrap();
    for operation in [Operation::<A>::refresh(), Operation::jwt()] {
        let error = (operation.call)(&client).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, true), "{error:?}");
        assert!(matches!(error.connect_failure(), Some(ConnectFailure::OutOfResources { .. })), "{error:?}");
        assert!(error.to_string().contains("thread could"), "{error}");
    }
}

cases!(($) out_of_threads out_of_threads_cases {
    a_thread_that_cannot_be_started_is_named,
});
