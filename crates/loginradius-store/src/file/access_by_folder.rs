//! Who has access to a store's folder and files on systems without modes: there only the folder's own settings decide.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use loginradius_proto::Error;

/// Who may have access to a store: every user who has access to the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Owner,
}

impl Access {
    pub(super) fn new(_group: bool, _folder: &Metadata) -> Self {
        Self::Owner
    }

    pub(super) fn check_folder(self, _path: &Path, _found: &Metadata) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn check_file(self, _path: &Path, _found: &Metadata) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn check_new(self, _folder: &Path, _found: &Metadata) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn grant(self, _file: &File) {}
}

pub(super) fn create_folder(path: &Path, _group: bool) -> io::Result<()> {
    fs::create_dir(path)
}

pub(super) fn denied(_path: &Path) -> String {
    "permission denied: let this user read and write there, or choose another folder".to_owned()
}
