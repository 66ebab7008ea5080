//! The environment's choice of roots. It belongs to a whole process, so each case is a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use loginradius_transport::Roots;

use crate::bundles::pem;
use crate::pki::authority;

/// Not a test: what a process of [`roots_with`] does.
#[test]
#[ignore = "run by the other tests"]
fn print_the_roots() {
    match Roots::system() {
        Ok(roots) => {
            if let Some(other) = env::var_os("REPLACED_BY") {
                fs::copy(other, env::var_os("SSL_CERT_FILE").unwrap()).unwrap();
            }
            println!("\n{roots:?}");
        }
        Err(error) => println!("\n{:?}: {error}", error.kind()),
    }
}

/// What `Roots::system` yields under these variables.
fn roots_with(file: Option<&Path>, folders: Option<&Path>) -> String {
    roots_of(&[("SSL_CERT_FILE", file), ("SSL_CERT_DIR", folders)])
}

fn roots_of(variables: &[(&str, Option<&Path>)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "system_roots::print_the_roots", "--ignored", "--nocapture"]);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let line = output.lines().find(|line| line.starts_with("Roots(") || line.starts_with("Configuration: "));
    line.unwrap_or_else(|| panic!("{output}")).to_owned()
}

#[test]
fn the_environment_names_the_roots_and_no_others_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, content: &[u8]| {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), content).unwrap();
        path(name)
    };
    let [a, b] = ["a", "b"].map(authority);
    let damaged = pem("CERTIFICATE", &a.der()[..100]);
    let one = write("one.pem", a.pem().as_bytes());
    let der = write("one.der", a.der());
    let one_damaged = write("one-damaged.pem", [&a.pem(), damaged.as_str(), &b.pem()].concat().as_bytes());
    let all_damaged = write("all-damaged.pem", damaged.as_bytes());
    let empty = write("empty.pem", b"");
    let missing = path("missing.pem");
    let full_folder = write("full/b.pem", b.pem().as_bytes()).parent().unwrap().to_owned();
    let mixed_folder = write("mixed/a.der", a.der()).parent().unwrap().to_owned();
    write("mixed/b.pem", ["\u{feff}", &b.pem()].concat().as_bytes());
    write("mixed/damaged.pem", damaged.as_bytes());
    write("mixed/README", b"certificates");
    write("mixed/folder/c.pem", authority("c").pem().as_bytes());
    let empty_folder = path("empty");
    fs::create_dir(&empty_folder).unwrap();
    let two_folders = PathBuf::from(env::join_paths([&empty_folder, &full_folder]).unwrap());

    let file_refused = |file: &Path, cause: &str| {
        let file = file.display();
        format!(
            "Configuration: the root certificates of SSL_CERT_FILE ({file}) cannot be read, {cause}: correct the \
             variable, or unset it to trust this machine's"
        )
    };
    let folder_refused = |folder: &Path| {
        let folder = folder.display();
        format!(
            "Configuration: the root certificates of SSL_CERT_DIR ({folder}) cannot be read, as no certificate was \
             found there: correct the variable, or unset it to trust this machine's"
        )
    };
    let count = |count| format!("Roots({count} certificates)");
    let not_found = fs::read(&missing).unwrap_err().to_string();
    let is_folder = fs::read(&full_folder).unwrap_err().to_string();
    let cases: Vec<(Option<&Path>, Option<&Path>, String)> = vec![
        (Some(&one), None, count(1)),
        (Some(&der), None, count(1)),
        (Some(&one_damaged), None, count(2)),
        (Some(&all_damaged), None, file_refused(&all_damaged, "as the certificate is cut off")),
        (Some(&empty), None, file_refused(&empty, "as they are empty")),
        (Some(&missing), None, file_refused(&missing, &not_found)),
        (Some(&full_folder), None, file_refused(&full_folder, &is_folder)),
        (Some(Path::new("")), None, file_refused(Path::new(""), &not_found)),
        (None, Some(&full_folder), count(1)),
        (None, Some(&two_folders), count(1)),
        (None, Some(&mixed_folder), count(2)),
        (None, Some(&empty_folder), folder_refused(&empty_folder)),
        (None, Some(&missing), folder_refused(&missing)),
        (Some(&one), Some(&full_folder), count(2)),
        (Some(&one_damaged), Some(&full_folder), count(2)),
        (Some(&one), Some(&empty_folder), count(1)),
        (Some(&missing), Some(&full_folder), file_refused(&missing, &not_found)),
    ];
    for (file, folders, expected) in cases {
        assert_eq!(roots_with(file, folders), expected, "{file:?} {folders:?}");
    }
    let machine = roots_with(None, None);
    assert!(machine.starts_with("Roots("), "{machine}");
    assert_eq!(roots_with(None, Some(Path::new(""))), machine, "no folder is named");
}

/// Reading a long list costs more than the rest of a short program.
#[test]
fn the_list_is_not_read_before_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one.pem", "two.pem"].map(|name| folder.path().join(name));
    let [a, b] = ["a", "b"].map(authority);
    fs::write(&one, a.pem()).unwrap();
    fs::write(&two, [a.pem(), b.pem()].concat()).unwrap();
    let variables = [("SSL_CERT_FILE", Some(&*one)), ("SSL_CERT_DIR", None), ("REPLACED_BY", Some(&*two))];
    assert_eq!(roots_of(&variables), "Roots(2 certificates)");
}
