//! The table of attacks in SECURITY.md: every test that it names is there.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_attack_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let page = read(&root.join("SECURITY.md"));
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| attack | what refuses it | test |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut attacks = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [attack, refused_by, test] = cells[..] else { panic!("not three cells: {row}") };
        assert!(!attack.is_empty() && !refused_by.is_empty(), "{row}");
        assert!(attacks.insert(attack), "twice: {attack}");
        let (name, file) = test.split_once("` in `").unwrap_or_else(|| panic!("no test: {row}"));
        let (name, file) = (name.trim_start_matches('`'), file.trim_end_matches('`'));
        let code = read(&root.join(file));
        // A property test's function is declared like any other, in a macro.
        let declared = code.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file} has no test {name}"));
        let before = code[..declared].trim_end().lines().next_back().unwrap_or_default();
        assert_eq!(before.trim(), "#[test]", "{name} in {file} is no test");
    }
    assert!(attacks.len() >= 40, "only {} attacks", attacks.len());
}
