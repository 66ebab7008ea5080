//! The path on which a session has nothing to refresh allocates nothing.

use allocation_counter::measure;
use loginradius_bench::{async_session, blocking_session, ready};

#[test]
fn a_good_token_of_a_blocking_session_allocates_nothing() {
    let session = blocking_session().unwrap();
    // The first load of a thread registers it with the cell that holds the token.
    session.access_token().unwrap();
    let counted = measure(|| {
        for _ in 0..1_000 {
            assert!(session.access_token().is_ok());
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_good_token_of_an_async_session_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let session = runtime.block_on(async_session()).unwrap();
    assert!(ready(session.access_token()).unwrap().is_ok());
    let counted = measure(|| {
        for _ in 0..1_000 {
            assert!(ready(session.access_token()).unwrap().is_ok());
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(Box::new(1)))).count_total, 1);
}
