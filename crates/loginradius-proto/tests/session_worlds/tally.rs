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

            /// Fails if the worlds have become dull. The numbers are per 10,000 worlds.
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
    /// Requests to refresh.
    refreshes at_least 0,
    rotations at_least 0,
    refusals at_least 0,
    /// Spent tokens that reached the server, by what became of the earlier request.
    replays_after_loss at_least 0,
    replays_after_kill at_least 0,
    replays_after_lapse at_least 0,
    replays_after_failed_save at_least 0,
    lost_with_an_answer at_least 0,
    kills at_least 0,
    suspensions at_least 0,
    takeovers at_least 0,
    clock_jumps at_least 0,
    sign_ins at_least 0,
    sign_outs at_least 0,
    forgotten at_least 0,
    half_signed_out at_least 0,
    reported at_least 0,
    /// Tokens that were handed out without a flow.
    quick at_least 0,
    early at_least 0,
    held at_least 0,
    adopted at_least 0,
    adopted_other at_least 0,
    retried at_least 0,
    unsaved at_least 0,
    saved_later at_least 0,
    told_over at_least 0,
    told_later at_least 0,
    failed_saves at_least 0,
    unknown_saves at_least 0,
    late_saves at_least 0,
    conflicts at_least 0,
    failed_loads at_least 0,
    faulty_answers at_least 0,
    read_only at_least 0,
    busy at_least 0,
    strays at_least 0,
    recovered at_least 0,
    recovered_from_memory at_least 0,
}
