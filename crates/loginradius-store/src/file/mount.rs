//! Which file system a folder is on.

use std::path::{Path, PathBuf};

use super::text::printable;

/// Returns where the file system of a folder is mounted. Returns `None` if that cannot be seen.
#[cfg(unix)]
pub(super) fn mount_point(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let root = folder.ancestors().last();
    folder.ancestors().find(|place| is_mounted(place)).or(root).map(Path::to_owned)
}

#[cfg(not(unix))]
pub(super) fn mount_point(_folder: &Path) -> Option<PathBuf> {
    None
}

/// Returns whether a file system is mounted at that folder.
#[cfg(unix)]
fn is_mounted(place: &Path) -> bool {
    // Only Linux can tell whether a part of the same disk is mounted there once more (a bind mount).
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

        let found = statx(CWD, place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
        if let Ok(found) = found
            && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        {
            return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        }
    }
    has_its_own_device(place)
}

/// Returns whether a folder is on another device than the folder above it.
#[cfg(unix)]
pub(super) fn has_its_own_device(place: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let device = |place: &Path| place.symlink_metadata().ok().map(|found| found.dev());
    place.parent().is_none_or(|parent| device(place) != device(parent))
}

/// Names the file system of a path, or of the nearest folder above it that exists, for a message.
pub(super) fn file_system(path: &Path) -> String {
    let Some(mounted) = path.ancestors().find_map(mount_point) else {
        return format!("the file system of `{}`", printable(path));
    };
    let kind = kind(&mounted).map(|kind| format!(" ({kind})")).unwrap_or_default();
    format!("the file system mounted at `{}`{kind}", printable(&mounted))
}

/// Returns the kind of the file system that is mounted there, such as `ext4`, where Linux tells.
fn kind(mounted: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let place = mounted.to_str()?.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
    // The last one hides those that were mounted there before.
    let fields = mounts.lines().rev().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.get(1) == Some(&place.as_str()))?;
    found.get(2).filter(|kind| kind.bytes().all(|byte| byte.is_ascii_graphic())).map(|kind| (*kind).to_owned())
}
