//! How costs grow with the number of sessions and logins.

pub(crate) mod device_logins;
pub(crate) mod files;
mod session_map;

use loginradius_bench::Result;

pub(crate) fn compare() -> Result<()> {
    files::compare()?;
    device_logins::compare()?;
    session_map::compare()
}
