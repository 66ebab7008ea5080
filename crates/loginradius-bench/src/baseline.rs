//! The guard of the core's costs: they are compared with those that were last accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use loginradius_bench::Result;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json");
const NAME: &str = "crates/loginradius-bench/baseline.json";

/// A change by more than this part is reported.
const TOLERANCE: f64 = 0.03;

/// What each operation costs, by its name.
pub(crate) type Costs = BTreeMap<String, OperationCost>;

/// What an operation costs, in figures that depend little on the processor and the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct OperationCost {
    /// The instructions as a multiple of the floor's, both measured in one run.
    pub(crate) instructions_per_floor: f64,
    pub(crate) allocations: u64,
}

/// Measures, and compares with the baseline.
///
/// # Errors
///
/// If an operation costs more than in the baseline, or there is none that can be read.
pub(crate) fn check(measure: impl FnOnce() -> Result<Costs>) -> Result<()> {
    check_file(Path::new(FILE), measure)
}

fn check_file(file: &Path, measure: impl FnOnce() -> Result<Costs>) -> Result<()> {
    // First, because to measure takes long.
    let baseline = read(file)?;
    let findings = compare(&baseline, &measure()?);
    for cheaper in findings.cheaper {
        println!("{cheaper}");
    }
    if findings.failures.is_empty() {
        println!("no operation has grown since {NAME} was written");
        Ok(())
    } else {
        let failures = findings.failures.join("\n");
        Err(format!("{failures}\nBENCHMARKS.md, \"The guard\", says how to find the cause").into())
    }
}

fn read(file: &Path) -> Result<Costs> {
    // To write it anew would accept what has grown.
    let error = |cause: &dyn Display| format!("cannot read {NAME} ({cause}): {RESTORE}");
    let text = fs::read_to_string(file).map_err(|cause| error(&cause))?;
    Ok(serde_json::from_str(&text).map_err(|cause| error(&cause))?)
}

/// Makes these costs the baseline.
pub(crate) fn update(measured: &Costs) -> Result<()> {
    fs::write(FILE, serde_json::to_string_pretty(measured)? + "\n")?;
    println!("{NAME} is written");
    Ok(())
}

const UPDATE: &str = "run `cargo run --release -p loginradius-bench -- core --update`";
const RESTORE: &str = "restore it by `git checkout HEAD -- crates/loginradius-bench/baseline.json`";

/// What differs from the baseline, one line for each operation.
#[derive(Debug, Default, PartialEq)]
struct Findings {
    failures: Vec<String>,
    cheaper: Vec<String>,
}

fn compare(baseline: &Costs, measured: &Costs) -> Findings {
    let mut findings = Findings::default();
    let names: BTreeSet<_> = baseline.keys().chain(measured.keys()).collect();
    for name in names {
        match (baseline.get(name), measured.get(name)) {
            (Some(before), Some(now)) => findings.compare(name, before, now),
            (Some(_), None) => findings.failures.push(format!(
                "{name}: it is in the baseline and was not measured: bring it back, or {UPDATE} and say why in the commit"
            )),
            (None, _) => findings.failures.push(format!(
                "{name}: it is not in the baseline: if the operation is new, {UPDATE}; if the file is damaged, {RESTORE}"
            )),
        }
    }
    findings
}

impl Findings {
    fn compare(&mut self, name: &str, before: &OperationCost, now: &OperationCost) {
        let instructions = Change::new(before.instructions_per_floor, now.instructions_per_floor);
        let allocations = Change::new(before.allocations as f64, now.allocations as f64);
        let changes = [
            (instructions, format!("instructions ÷ floor from {instructions:.3}")),
            (allocations, format!("allocations from {allocations:.0}")),
        ];
        let list = |has_changed: fn(&Change) -> bool| {
            let changed = changes.iter().filter(|(change, _)| has_changed(change));
            changed.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", and ")
        };
        let (grown, shrunk) = (list(Change::is_growth), list(Change::is_reduction));
        if !grown.is_empty() {
            self.failures.push(format!("{name} grew, {grown}: make it cheaper, or {UPDATE} and say why in the commit"));
        }
        if !shrunk.is_empty() {
            self.cheaper.push(format!("{name} is cheaper, {shrunk}: {UPDATE}, so that it stays so"));
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Change {
    before: f64,
    now: f64,
}

impl Change {
    fn new(before: f64, now: f64) -> Self {
        Self { before, now }
    }

    fn is_growth(&self) -> bool {
        self.now > self.before * (1.0 + TOLERANCE)
    }

    fn is_reduction(&self) -> bool {
        self.now < self.before * (1.0 - TOLERANCE)
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { before, now } = self;
        let digits = f.precision().unwrap_or_default();
        write!(f, "{before:.digits$} to {now:.digits$} ({:+.1} %)", (now / before - 1.0) * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(operations: &[(&str, f64, u64)]) -> Costs {
        let cost = |&(name, instructions_per_floor, allocations): &(&str, f64, u64)| {
            (name.to_owned(), OperationCost { instructions_per_floor, allocations })
        };
        operations.iter().map(cost).collect()
    }

    fn compare_one(before: (f64, u64), now: (f64, u64)) -> Findings {
        compare(&costs(&[("device", before.0, before.1)]), &costs(&[("device", now.0, now.1)]))
    }

    fn fails(before: (f64, u64), now: (f64, u64)) -> bool {
        !compare_one(before, now).failures.is_empty()
    }

    #[test]
    fn equal_costs_are_no_finding() {
        assert_eq!(compare_one((1.35, 6), (1.35, 6)), Findings::default());
        assert_eq!(compare_one((1.35, 0), (1.35, 0)), Findings::default());
    }

    #[test]
    fn instructions_may_grow_by_three_percent() {
        assert!(!fails((1.0, 6), (1.029, 6)));
        assert!(fails((1.0, 6), (1.031, 6)));
    }

    #[test]
    fn allocations_may_grow_by_three_percent() {
        assert!(fails((1.0, 30), (1.0, 31)));
        assert!(fails((1.0, 4), (1.0, 5)));
        assert!(fails((1.0, 0), (1.0, 1)));
        assert!(!fails((1.0, 34), (1.0, 35)));
    }

    #[test]
    fn a_cheaper_operation_is_a_hint_and_no_failure() {
        assert_eq!(compare_one((1.0, 34), (0.971, 33)), Findings::default());
        let findings = compare_one((1.0, 6), (0.969, 6));
        assert!(findings.failures.is_empty());
        assert!(
            findings.cheaper[0]
                .starts_with("device is cheaper, instructions ÷ floor from 1.000 to 0.969 (-3.1 %): run `cargo")
        );
    }

    #[test]
    fn a_failure_says_what_grew_and_what_to_do() {
        let findings = compare_one((1.35, 6), (1.5, 7));
        assert_eq!(
            findings.failures,
            ["device grew, instructions ÷ floor from 1.350 to 1.500 (+11.1 %), and allocations from \
              6 to 7 (+16.7 %): make it cheaper, or run `cargo run --release -p loginradius-bench -- core --update` and \
              say why in the commit"]
        );
        assert!(findings.cheaper.is_empty());
    }

    #[test]
    fn one_may_grow_while_the_other_shrinks() {
        let findings = compare_one((1.0, 6), (1.1, 5));
        assert_eq!((findings.failures.len(), findings.cheaper.len()), (1, 1));
        assert!(!findings.failures[0].contains("allocations"));
        assert!(!findings.cheaper[0].contains("instructions"));
    }

    #[test]
    fn without_a_baseline_nothing_is_measured_and_it_is_to_be_restored() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("baseline.json");
        for damaged in [None, Some("{\"device\": {"), Some("<<<<<<< HEAD\n{}\n")] {
            if let Some(text) = damaged {
                fs::write(&file, text).unwrap();
            }
            let error = check_file(&file, || panic!("measured")).unwrap_err().to_string();
            assert!(error.starts_with("cannot read crates/loginradius-bench/baseline.json ("), "{error}");
            assert!(error.ends_with(RESTORE), "{error}");
        }
    }

    #[test]
    fn a_failed_check_says_where_to_read_how_to_find_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("baseline.json");
        fs::write(&file, serde_json::to_string(&costs(&[("device", 1.0, 6)])).unwrap()).unwrap();
        let error = check_file(&file, || Ok(costs(&[("device", 1.1, 6)]))).unwrap_err().to_string();
        assert!(error.ends_with("\nBENCHMARKS.md, \"The guard\", says how to find the cause"), "{error}");
        assert!(check_file(&file, || Ok(costs(&[("device", 1.0, 6)]))).is_ok());
    }

    #[test]
    fn a_missing_operation_fails() {
        let (one, two) = (costs(&[("device", 1.0, 6)]), costs(&[("device", 1.0, 6), ("refresh", 1.0, 6)]));
        for findings in [compare(&one, &two), compare(&two, &one)] {
            assert_eq!(findings.failures.len(), 1);
            assert!(findings.failures[0].starts_with("refresh: it "));
        }
    }
}
