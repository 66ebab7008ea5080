//! The properties that the fuzz targets assert. They are plain functions, so that a test on stable Rust
//! runs them too: over the seeds, over seeds with a byte changed, and over noise.

mod callback;
mod device;
mod jwt;
mod loopback;
mod responses;
mod session;

pub use callback::callback;
pub use device::device_flow;
pub use jwt::jwt;
pub use loopback::loopback;
pub use responses::{error_bodies, token_response};
pub use session::{session_flow, session_record};

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 8] = [
        ("token_response", crate::token_response),
        ("error_bodies", crate::error_bodies),
        ("device_flow", crate::device_flow),
        ("session_record", crate::session_record),
        ("session_flow", crate::session_flow),
        ("callback", crate::callback),
        ("loopback", crate::loopback),
        ("jwt", crate::jwt),
    ];

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        files.iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(length)
        .collect()
    }

    #[test]
    fn the_properties_hold_for_the_seeds_and_their_neighbours() {
        for (name, target) in TARGETS {
            for (number, seed) in seeds(name).into_iter().enumerate() {
                target(&seed);
                for length in 0..seed.len() {
                    target(&seed[..length]);
                }
                for (place, byte) in noise(number as u64, seed.len()).into_iter().enumerate() {
                    let mut neighbour = seed.clone();
                    neighbour[place] = byte;
                    target(&neighbour);
                }
            }
        }
    }

    #[test]
    fn the_properties_hold_for_noise() {
        for (_, target) in TARGETS {
            (0..2_000).for_each(|seed| target(&noise(seed, 16 + seed as usize / 4)));
        }
    }
}
