//! Who has access to a store's folder and files, by owners and modes.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use loginradius_proto::Error;
use rustix::fs::{Access as Right, AtFlags, CWD, accessat};

use super::mount;
use super::text::{printable, quoted};

/// Who may have access to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The user of this program alone.
    Owner,
    /// Also the members of the folder's group, which has this number.
    Group(u32),
}

impl Access {
    /// Returns the access for the user alone, or also for the folder's group.
    pub(super) fn new(group: bool, folder: &Metadata) -> Self {
        if group { Self::Group(folder.gid()) } else { Self::Owner }
    }

    /// Refuses a folder in which another user could exchange the files, or in which this user cannot work.
    pub(super) fn check_folder(self, path: &Path, found: &Metadata) -> Result<(), Error> {
        let mode = found.mode();
        match self {
            Self::Owner if found.uid() != me() => Err(another_owner(path, found, self)),
            Self::Owner if mode & 0o022 != 0 => Err(too_open(path, found, "700", self)),
            Self::Group(_) if mode & 0o002 != 0 && found.uid() != me() => Err(another_owner(path, found, self)),
            Self::Group(_) if mode & 0o002 != 0 => Err(too_open(path, found, "2770", self)),
            Self::Group(_) if found.uid() != me() && mode & 0o070 != 0o070 => Err(another_owner(path, found, self)),
            Self::Group(_) if mode & 0o1000 != 0 => Err(Error::store_refused(format!(
                "in `{}` only its owner may replace a file (sticky bit, mode {}): run `chmod -t {}`",
                printable(path),
                octal(found),
                quoted(path),
            ))),
            Self::Owner | Self::Group(_) if lacks_rights(path, mode) => {
                Err(Error::store_refused(format!("cannot use the folder `{}`: {}", printable(path), denied(path))))
            }
            Self::Owner | Self::Group(_) => Ok(()),
        }
    }

    /// Refuses a file that was just created, and has another owner, group or mode than it should.
    pub(super) fn check_new(self, folder: &Path, found: &Metadata) -> Result<(), Error> {
        let mode = found.mode() & 0o777;
        match self {
            Self::Group(group) if found.uid() == me() && found.gid() != group => Err(Error::store_refused(format!(
                "user {} cannot give the files in `{}` to the folder's group {group}: add the user to that group, or \
                 give the folder another one",
                named(me()),
                printable(folder),
            ))),
            Self::Group(group) => {
                // Where one user is made the owner of everything, the folder is that user's too.
                let owner = fs::metadata(folder).map(|folder| folder.uid());
                let is_known = found.uid() == me() || owner.is_ok_and(|owner| owner == found.uid());
                let is_shared = is_known && found.gid() == group && mode & 0o667 == 0o660;
                if is_shared { Ok(()) } else { Err(self.keeps_no_modes(folder, found)) }
            }
            Self::Owner if found.uid() == me() && mode & 0o677 == 0o600 => Ok(()),
            Self::Owner => Err(self.keeps_no_modes(folder, found)),
        }
    }

    /// Creates the error for a file system on which a new file has a wrong owner or mode. `new` is that file.
    fn keeps_no_modes(self, folder: &Path, new: &Metadata) -> Error {
        let (me, group) = (me(), new.gid());
        let (of_group, consequence, mount) = match self {
            Self::Owner => (
                String::new(),
                format!("its tokens would not be private to user {me}"),
                format!(
                    "for that user alone (`uid={me},umask=077`; WSL: `metadata`; SMB: \
                     `uid={me},file_mode=0600,dir_mode=0700`)"
                ),
            ),
            Self::Group(wanted) => (
                format!(" and group {group}"),
                format!("its tokens would not be for group {wanted} and no other user"),
                format!(
                    "for that group (`gid={wanted},umask=007`; WSL: `metadata`; SMB: \
                     `gid={wanted},file_mode=0660,dir_mode=0770`)"
                ),
            ),
        };
        Error::store_refused(format!(
            "{} does not keep owners and modes: a new file there belongs to user {}{of_group} and has mode {}, as on a \
             Windows drive in WSL, SMB, FAT, exFAT, or NFS with root_squash, so that {consequence}: choose a folder on \
             another file system, or mount this one {mount}",
            mount::file_system(folder),
            named(new.uid()),
            octal(new),
        ))
    }

    /// Refuses a file to which any other user has access.
    pub(super) fn check_file(self, path: &Path, found: &Metadata) -> Result<(), Error> {
        let of_group = self == Self::Group(found.gid());
        if found.uid() != me() && !of_group {
            return Err(another_owner(path, found, self));
        }
        let (forbidden, mode) = if of_group { (0o007, "660") } else { (0o077, "600") };
        if found.mode() & forbidden == 0 { Ok(()) } else { Err(too_open(path, found, mode, self)) }
    }

    /// Restores the permissions of a file of this user that the umask or another program has taken away.
    pub(super) fn grant(self, file: &File) {
        let Some(found) = file.metadata().ok().filter(|found| found.uid() == me()) else { return };
        let mut wanted = 0o600;
        if let Self::Group(group) = self {
            if found.gid() != group && fchown(file, None, Some(group)).is_err() {
                return;
            }
            wanted = 0o660;
        }
        let mode = found.mode() & 0o7777;
        if mode & wanted != wanted {
            // A failure does not matter here: the modes are checked afterwards.
            let _ = file.set_permissions(Permissions::from_mode(mode | wanted));
        }
    }
}

/// Creates a folder with its full mode, whatever the umask.
pub(super) fn create_folder(path: &Path, group: bool) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    let found = fs::symlink_metadata(path)?;
    // The set-group-ID bit: files that other members create there get the same group.
    let wanted = if group { 0o2770 } else { 0o700 };
    let mode = found.mode() & 0o7777;
    if mode & wanted != wanted && found.is_dir() && found.uid() == me() {
        let _ = fs::set_permissions(path, Permissions::from_mode(mode | wanted));
    }
    Ok(())
}

/// Returns a text that says why the access to a path is denied, and what to do.
pub(super) fn denied(path: &Path) -> String {
    // If nothing of a path can be seen, it is in a folder that cannot be searched.
    let seen = path.ancestors().find_map(|place| Some((place, fs::symlink_metadata(place).ok()?)));
    let parent = path.parent().and_then(|folder| Some((folder, fs::metadata(folder).ok()?)));
    for (place, found) in seen.into_iter().chain(parent) {
        let all = Right::READ_OK | Right::WRITE_OK;
        let all = if found.is_dir() { all | Right::EXEC_OK } else { all };
        if found.is_symlink() || !is_denied(place, all) {
            continue;
        }
        let advice = match found.uid() == me() {
            true if found.is_dir() => format!(", by `chmod u+rwx {}`", quoted(place)),
            true => format!(", by `chmod u+rw {}`", quoted(place)),
            false => {
                take_over(place, &found).map_or(", or choose another folder".to_owned(), |advice| format!("; {advice}"))
            }
        };
        return format!(
            "permission denied, because `{}` belongs to user {} and has mode {}, and this program runs as user {}: \
             let this user read and write there{advice}",
            printable(place),
            named(found.uid()),
            octal(&found),
            named(me()),
        );
    }
    format!(
        "permission denied, although its mode permits it to user {}, so that a security policy (SELinux, AppArmor) or \
         {} forbids it: let this user read and write there, or choose another folder",
        named(me()),
        mount::file_system(path),
    )
}

/// Returns whether this user lacks the permission to create files in a folder, or to list them.
///
/// If a security policy forbids to list the folder although its mode allows it, the store works without that.
fn lacks_rights(folder: &Path, mode: u32) -> bool {
    is_denied(folder, Right::WRITE_OK | Right::EXEC_OK) || (mode & 0o400 == 0 && is_denied(folder, Right::READ_OK))
}

fn is_denied(path: &Path, rights: Right) -> bool {
    accessat(CWD, path, rights, AtFlags::EACCESS) == Err(rustix::io::Errno::ACCESS)
}

fn another_owner(path: &Path, found: &Metadata, access: Access) -> Error {
    let advice = match for_group(found, access) {
        Some(advice) => format!("{advice}, else choose a folder of your own"),
        None => {
            take_over(path, found).unwrap_or_else(|| "run it as that user, or choose a folder of your own".to_owned())
        }
    };
    Error::store_refused(format!(
        "`{}` (mode {}) belongs to user {} and this program runs as user {}: {advice}",
        printable(path),
        octal(found),
        named(found.uid()),
        named(me()),
    ))
}

/// Returns the advice for what an earlier run as root may have left, if it is in a folder of this user.
fn take_over(path: &Path, found: &Metadata) -> Option<String> {
    let parent = path.parent().filter(|parent| fs::metadata(parent).is_ok_and(|parent| parent.uid() == me()))?;
    if found.uid() != 0 {
        return None;
    }
    // Where root left one file, it left others.
    let all = if found.is_dir() { path } else { parent };
    Some(format!(
        "if an earlier run by sudo left it, run `sudo chown -R {} {}`, else choose another folder",
        me(),
        quoted(all),
    ))
}

fn too_open(path: &Path, found: &Metadata, mode: &str, access: Access) -> Error {
    let advice = for_group(found, access).map(|advice| format!("{advice}, else ")).unwrap_or_default();
    Error::store_refused(format!(
        "`{}` can be accessed by other users (mode {}): {advice}run `chmod {mode} {}`",
        printable(path),
        octal(found),
        quoted(path),
    ))
}

/// Returns the advice for a folder or file that its group can access and others cannot, which may be on purpose.
fn for_group(found: &Metadata, access: Access) -> Option<&'static str> {
    let rights = if found.is_dir() { (0o002, 0o020) } else { (0o007, 0o070) };
    let of_group = found.mode() & rights.0 == 0 && found.mode() & rights.1 != 0;
    (access == Access::Owner && of_group)
        .then_some("if its group is meant to share it, open the store with `FileStore::open_for_group`")
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn named(user: u32) -> String {
    if user == 0 { "0 (root)".to_owned() } else { user.to_string() }
}

fn octal(found: &Metadata) -> String {
    format!("{:04o}", found.mode() & 0o7777)
}
