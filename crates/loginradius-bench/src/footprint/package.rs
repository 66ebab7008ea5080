use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use loginradius_bench::{Result, timing};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A program that depends on crates of this workspace, or on others.
pub(super) struct Package {
    pub(super) name: &'static str,
    /// The names of this workspace's crates.
    pub(super) ours: &'static [&'static str],
    /// Lines of the manifest.
    pub(super) others: &'static str,
    pub(super) program: &'static str,
}

impl Package {
    /// Writes it to a folder of its name in that one.
    pub(super) fn write(&self, folder: &Path) -> Result<Written> {
        let workspace = fs::canonicalize(WORKSPACE)?;
        let path = folder.join(self.name);
        fs::create_dir_all(path.join("src"))?;
        let ours = self.ours.iter().map(|name| {
            let path = workspace.join("crates").join(name);
            format!("{name} = {{ path = {path:?} }}\n")
        });
        let manifest = format!(
            "[package]\nname = \"{}\"\nedition = \"2024\"\n\n[dependencies]\n{}{}\n\n[profile.release]\nstrip = true\n\n\
             [workspace]\n",
            self.name,
            ours.collect::<String>(),
            self.others
        );
        fs::write(path.join("Cargo.toml"), manifest)?;
        fs::write(path.join("src/main.rs"), self.program)?;
        // The same versions for all.
        fs::copy(workspace.join("Cargo.lock"), path.join("Cargo.lock"))?;
        Ok(Written { name: self.name, path, folder: folder.to_owned() })
    }
}

/// A package on disk.
pub(super) struct Written {
    name: &'static str,
    path: PathBuf,
    folder: PathBuf,
}

impl Written {
    /// Returns how many crates its normal dependencies are, direct and indirect.
    pub(super) fn crates(&self) -> Result<usize> {
        let mut cargo = self.cargo("tree");
        cargo.args(["--edges", "normal", "--prefix", "none"]);
        let tree = succeed(&mut cargo)?;
        let crates: HashSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        // The package itself is in the tree.
        Ok(crates.len().saturating_sub(1))
    }

    /// Builds it into a target folder of that name. Returns the CPU time.
    pub(super) fn build(&self, target: &str) -> Result<Duration> {
        succeed(self.cargo("fetch").arg("--quiet"))?;
        let before = timing::cpu_of_children()?;
        succeed(self.cargo("build").args(["--release", "--quiet", "--target-dir"]).arg(self.target(target)))?;
        Ok(timing::cpu_of_children()? - before)
    }

    /// Returns where its program is, once it is built.
    pub(super) fn program(&self, target: &str) -> PathBuf {
        self.target(target).join("release").join(self.name)
    }

    fn target(&self, name: &str) -> PathBuf {
        self.folder.join("targets").join(name)
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.arg(command).arg("--manifest-path").arg(self.path.join("Cargo.toml"));
        cargo
    }
}

/// Runs a command, and returns what it prints.
fn succeed(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
