//! Runs a property over inputs that are the same in every run.

use std::path::{Path, PathBuf};

type Property = fn(&[u8]);

/// Runs the property over the files that the program was given: what cargo-fuzz has found, for example.
pub fn run_files(property: Property) {
    for file in std::env::args_os().skip(1) {
        let input = std::fs::read(&file).expect("the file can be read");
        run_one(property, &input);
    }
}

/// Runs the property over each input.
pub fn run(property: Property, inputs: impl Iterator<Item = Vec<u8>>) {
    inputs.for_each(|input| run_one(property, &input));
}

fn run_one(property: Property, input: &[u8]) {
    struct Shown<'a>(&'a [u8]);

    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input was b\"{}\"", self.0.escape_ascii());
            }
        }
    }

    let _shown = Shown(input);
    property(input);
}

/// Where the seeds of the targets are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// The seeds of one target, and inputs made of them.
pub struct Inputs(Vec<Vec<u8>>);

impl Inputs {
    /// Reads the seeds of that target. There has to be one.
    pub fn of_target(target: &str) -> Self {
        let folder = folder().join(target);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} has no seeds", folder.display());
        Self(files.iter().map(|file| std::fs::read(file).expect("a seed")).collect())
    }

    pub fn seeds(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter()
    }

    /// Returns each seed cut short at each place, and with each byte changed.
    pub fn neighbours(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter().zip(1..).flat_map(|(seed, number)| {
            let mut random = Random(number);
            (0..seed.len()).flat_map(move |place| {
                let mut changed = seed.clone();
                changed[place] = random.byte();
                [seed[..place].to_vec(), changed]
            })
        })
    }

    /// Returns inputs that are put together from pieces of several seeds, in each of which some bytes are changed.
    pub fn mixtures(self) -> impl Iterator<Item = Vec<u8>> {
        (1..=500).map(move |number| {
            let mut random = Random(number);
            let mut mixture = Vec::new();
            for _ in 0..=random.below(3) {
                let seed = &self.0[random.below(self.0.len())];
                let start = random.below(seed.len() + 1);
                let end = start + random.below(seed.len() - start + 1);
                let place = random.below(mixture.len() + 1);
                mixture.splice(place..place, seed[start..end].iter().copied());
            }
            for _ in 0..random.below(4).min(mixture.len()) {
                let place = random.below(mixture.len());
                mixture[place] = random.byte();
            }
            mixture
        })
    }

    /// Returns random bytes that have nothing to do with the seeds.
    pub fn noise(self) -> impl Iterator<Item = Vec<u8>> {
        (1..=2_000).map(|number| {
            let mut random = Random(number);
            (0..16 + number / 4).map(|_| random.byte()).collect()
        })
    }
}

/// Random numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// Returns a number below `end`, which is above 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// cargo-fuzz runs what Cargo.toml lists, and Cargo tests what has a file.
    #[test]
    fn each_target_has_a_file_a_line_in_the_manifest_and_seeds() {
        let names = |folder: PathBuf| -> BTreeSet<String> {
            let files = std::fs::read_dir(folder).unwrap();
            files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let lines = include_str!("../Cargo.toml").lines();
        let listed: BTreeSet<String> = lines
            .filter_map(|line| line.trim().strip_prefix("{ name = \"")?.split('"').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(names(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin")), listed);
        assert_eq!(names(folder()), listed);
    }
}
