//! What happened, over all runs: runs in which nothing happens prove nothing.

use std::collections::BTreeSet;

/// The state before, the input, and the state after it.
pub(crate) type Transition = (&'static str, &'static str, &'static str);

/// The transitions that flows made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transitions(pub(crate) BTreeSet<Transition>);

impl Transitions {
    pub(crate) fn note(&mut self, before: &'static str, input: &'static str, after: &'static str) {
        // A flow that continues to wait makes no transition.
        if (before, input) != (after, "time") {
            self.0.insert((before, input, after));
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Compares them with the table in the documentation of the flow. None may be missing there; with `all`, each one
    /// there must have happened.
    pub(crate) fn assert_as_documented(&self, all: bool) {
        let table = documented();
        // A flow that retains the lock passes by `Unlocking`.
        let passes_by = |(before, input, after): &Transition| {
            *after == "Done" && *before != "Unlocking" && table.contains(&(*before, *input, "Unlocking"))
        };
        let undocumented: Vec<_> = self.0.difference(&table).filter(|transition| !passes_by(transition)).collect();
        assert!(undocumented.is_empty(), "transitions that states.md does not have: {undocumented:#?}");
        let missing: Vec<_> = table.difference(&self.0).filter(|_| all).collect();
        assert!(missing.is_empty(), "transitions of states.md that did not happen: {missing:#?}");
    }
}

/// Reads the table of states.
fn documented() -> BTreeSet<Transition> {
    let rows = include_str!("../../src/session/states.md").lines().filter(|line| line.starts_with("| `"));
    let names = |cell: &'static str| cell.split('`').skip(1).step_by(2);
    rows.flat_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (state, inputs, next) = (cells[1], cells[2], cells[3]);
        names(state).flat_map(move |state| {
            names(inputs).flat_map(move |input| names(next).map(move |next| (state, input, next)))
        })
    })
    .collect()
}

macro_rules! coverage {
    ($($(#[$doc:meta])* $name:ident at_least $min:expr,)*) => {
        #[derive(Clone, Default)]
        pub(crate) struct Coverage {
            $($(#[$doc])* pub(crate) $name: u64,)*
            pub(crate) transitions: Transitions,
        }

        impl Coverage {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                self.transitions.extend(other.transitions.clone());
            }

            /// Fails if something has become too rare. The minimums are for 10,000 runs.
            pub(crate) fn assert_everything_happened(&self) {
                $(
                    let min = self.runs * $min / 10_000;
                    assert!(self.$name >= min, "only {} times, not {min}: {}", self.$name, stringify!($name));
                )*
            }
        }

        impl std::fmt::Display for Coverage {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut parts = Vec::new();
                $(parts.push(format!("{}={}", stringify!($name), self.$name));)*
                f.write_str(&parts.join(" "))
            }
        }
    };
}

coverage! {
    runs at_least 0,
    /// Runs that broke promise 1.
    replays at_least 0,
    /// Runs that broke promise 5.
    lost at_least 0,
    /// Requests to refresh that were sent.
    refreshes at_least 20_000,
    /// Refreshes for which the server rotated the token.
    rotations at_least 10_000,
    /// Responses that rejected the refresh token.
    rejections at_least 1_000,
    /// Consumed tokens that reached the server, by why they were sent again.
    replays_after_lost_response at_least 1_000,
    replays_after_kill at_least 50,
    replays_after_lost_lock at_least 2,
    replays_after_failed_save at_least 100,
    /// Sessions whose newest token was lost with a response or a process.
    lost_with_response_or_process at_least 100,
    kills at_least 5_000,
    /// Flows whose driver was dropped before their end.
    aborts at_least 5_000,
    suspensions at_least 5_000,
    /// Long leases that expired during a suspension and were taken by another process.
    lease_takeovers at_least 300,
    /// Runs whose store is over a database. What follows happens in them alone.
    database_runs at_least 2_500,
    /// Leases that lapsed and were taken by another process.
    lapsed_leases_taken at_least 1_000,
    failed_renewals at_least 5_000,
    suspensions_before_hand_over at_least 200,
    suspensions_before_leaving at_least 200,
    /// Requests that a driver did not send, because its lease was nearly over.
    lapses_before_sending at_least 200,
    /// Requests that were sent although another holder had one in flight or had taken the lease: the price of a lease.
    two_in_flight at_least 10,
    left_after_lapse at_least 10,
    replays_after_standing_still at_least 5,
    statements_sent_again at_least 5_000,
    lost_unlocks at_least 500,
    /// Writes that found themselves done.
    writes_found_done at_least 500,
    /// Statements that arrived after they could do anything.
    late_writes_after_unlock at_least 200,
    late_writes_after_takeover at_least 20,
    /// Leases that were taken by an attempt that came late.
    late_locks at_least 500,
    /// Failovers that forgot writes, and the records among these.
    failovers at_least 300,
    forgotten_records at_least 100,
    sent_after_failover at_least 5,
    replays_after_failover at_least 20,
    lost_by_failover at_least 5,
    logins_after_failover at_least 100,
    clock_jumps at_least 5_000,
    logins_stored at_least 10_000,
    logins_started_again at_least 1_000,
    /// Logins that were refreshed before they were started again.
    logins_adopted at_least 50,
    /// Logins that a later one had replaced before they were started again.
    logins_replaced at_least 50,
    sign_outs at_least 2_000,
    /// Sign-outs that ended with an error after the mark was stored.
    unfinished_sign_outs at_least 200,
    forgotten at_least 500,
    /// Access tokens that an API rejected.
    rejected_access_tokens at_least 5_000,
    /// What callers got from the memory.
    cached_fresh at_least 50_000,
    cached_refresh_due at_least 5_000,
    cached_backing_off at_least 2_000,
    adopted at_least 5_000,
    adopted_other_login at_least 2_000,
    requests_failed at_least 5_000,
    unsaved at_least 2_000,
    saved_later at_least 1_000,
    /// Flows that ended with that error.
    ended_with_sign_in_required at_least 10_000,
    ended_with_unavailable at_least 10_000,
    failed_saves at_least 5_000,
    unknown_saves at_least 5_000,
    late_saves at_least 500,
    conflicts at_least 500,
    failed_loads at_least 5_000,
    /// Responses with a new refresh token and no access token.
    faulty_responses at_least 300,
    /// Runs whose store could not be written.
    read_only_stores at_least 100,
    /// Attempts to take a lock that another process held.
    locks_taken at_least 20_000,
    /// Records that were read without the lock, and flows that ended with a token from there.
    peeked at_least 50_000,
    tokens_peeked at_least 1_000,
    /// Flows that got inputs and calls that they had not asked for.
    stray_inputs at_least 5_000,
    recovered at_least 5_000,
    recovered_from_memory at_least 100,
}
