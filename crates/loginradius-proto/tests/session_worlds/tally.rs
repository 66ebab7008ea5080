//! What happened, over all worlds: a proof by worlds in which nothing happens is none.

macro_rules! tally {
    ($($(#[$doc:meta])* $name:ident at_least $least:expr,)*) => {
        #[derive(Clone, Default)]
        pub(crate) struct Tally {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Tally {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Fails if the worlds have become dull. The numbers are for 10,000 worlds.
            pub(crate) fn assert_that_everything_happened(&self) {
                $(
                    let least = self.worlds * $least / 10_000;
                    assert!(self.$name >= least, "only {} times, not {least}: {}", self.$name, stringify!($name));
                )*
            }
        }

        impl std::fmt::Display for Tally {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut parts = Vec::new();
                $(parts.push(format!("{}={}", stringify!($name), self.$name));)*
                f.write_str(&parts.join(" "))
            }
        }
    };
}

tally! {
    worlds at_least 0,
    /// Spent tokens that reached the server although the outcome of every earlier request was known.
    replays at_least 0,
    /// Newest tokens that were gone although nothing had gone wrong while they were on their way.
    lost at_least 0,
    /// Requests to refresh that were sent, their tokens that rotated, and refusals that were heard.
    refreshes at_least 20_000,
    rotations at_least 10_000,
    refusals at_least 1_000,
    /// Spent tokens that reached the server, by what had become of the earlier request.
    replays_after_loss at_least 1_000,
    replays_after_kill at_least 50,
    replays_after_lapse at_least 2,
    replays_after_failed_save at_least 100,
    /// Newest tokens that were gone in the end, with the answer or the process that had them.
    lost_with_an_answer at_least 100,
    kills at_least 5_000,
    suspensions at_least 5_000,
    /// Leases that were taken over from those who slept.
    takeovers at_least 300,
    clock_jumps at_least 5_000,
    sign_ins at_least 10_000,
    sign_outs at_least 2_000,
    /// Sessions that are marked, and not signed out yet.
    half_signed_out at_least 200,
    forgotten at_least 500,
    reported at_least 5_000,
    /// Tokens that were handed out without a flow, and those with a flow to come.
    quick at_least 50_000,
    early at_least 5_000,
    /// Callers who were told at once to try later.
    held at_least 2_000,
    adopted at_least 5_000,
    adopted_other at_least 2_000,
    retried at_least 5_000,
    unsaved at_least 2_000,
    saved_later at_least 1_000,
    /// Flows that ended with an error: sign in again, and try later.
    told_over at_least 10_000,
    told_later at_least 10_000,
    failed_saves at_least 5_000,
    unknown_saves at_least 5_000,
    late_saves at_least 500,
    conflicts at_least 500,
    failed_loads at_least 5_000,
    faulty_answers at_least 300,
    /// Worlds whose store took nothing.
    read_only at_least 100,
    /// Locks that another one had.
    busy at_least 20_000,
    /// Steps and inputs that nobody had asked for.
    strays at_least 5_000,
    recovered at_least 5_000,
    recovered_from_memory at_least 100,
}
