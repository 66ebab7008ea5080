//! What the fuzz targets share. Each target is a file of `src/bin`, with its property, and a folder of `seeds`.

pub mod date;
pub mod harness;
pub mod json;
pub mod logins;
pub mod read;
pub mod responses;
pub mod session;
pub mod text;

/// Makes the property the target of the file that calls this.
///
/// cargo-fuzz builds it for libFuzzer. Elsewhere its tests run the property over the target's seeds and over inputs
/// that are made of them, and its `main` over the files that it is given.
#[macro_export]
macro_rules! target {
    ($property:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $property(input));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::harness::run_files($property);
        }

        #[cfg(test)]
        mod the_property_holds {
            use $crate::harness::{Inputs, run};

            #[test]
            fn for_the_seeds() {
                run(super::$property, Inputs::of_target(env!("CARGO_BIN_NAME")).seeds());
            }

            #[test]
            fn for_seeds_cut_short_and_with_a_byte_changed() {
                run(super::$property, Inputs::of_target(env!("CARGO_BIN_NAME")).neighbours());
            }

            #[test]
            fn for_mixtures_of_seeds() {
                run(super::$property, Inputs::of_target(env!("CARGO_BIN_NAME")).mixtures());
            }

            #[test]
            fn for_noise() {
                run(super::$property, Inputs::of_target(env!("CARGO_BIN_NAME")).noise());
            }
        }
    };
}
