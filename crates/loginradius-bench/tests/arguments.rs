//! What the program says about its arguments.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loginradius-bench")).args(arguments).output().unwrap()
}

#[test]
fn help_is_no_error() {
    for arguments in [&["--help"][..], &["-h"], &["core", "--help"]] {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        for argument in
            ["core", "token-read", "end-to-end", "memory", "growth", "footprint", "--json", "--check", "--update"]
        {
            assert!(help.contains(argument), "{argument}");
        }
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn an_error_names_the_wrong_arguments() {
    for arguments in [&["cor"][..], &["core", "--chek"], &["core", "--json", "--check"], &["--check"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("`{}`", arguments.join(" "))), "{error}");
        assert!(error.contains("--help"), "{error}");
        assert!(output.stdout.is_empty());
    }
}
