//! Paths in messages.

use std::path::Path;

/// Writes a path so that it fits into an error's one line.
pub(super) fn printable(path: &Path) -> String {
    let printable =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
    path.to_string_lossy().chars().map(printable).collect()
}

/// Quotes a path as an argument of a shell, on one line.
#[cfg(unix)]
pub(super) fn quoted(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;

    if let Some(text) = path.to_str().filter(|text| !text.contains(char::is_control)) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    path.as_os_str().as_bytes().iter().fold(String::from("$'"), |mut text, byte| {
        let _ = match byte {
            b'\'' | b'\\' => write!(text, "\\{}", char::from(*byte)),
            b' '..=b'~' => write!(text, "{}", char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
        text
    }) + "'"
}
