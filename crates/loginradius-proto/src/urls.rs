use std::sync::OnceLock;

use http::Uri;

/// The URLs of an app's operations, each made when it is first needed.
#[derive(Clone, Default)]
pub(crate) struct Urls([OnceLock<Uri>; Self::COUNT]);

impl Urls {
    pub(crate) const COUNT: usize = 10;

    /// Returns the URL in that place. If there is none yet, makes it, and keeps it unless that fails.
    pub(crate) fn get_or_make<E>(&self, place: usize, make: impl FnOnce() -> Result<Uri, E>) -> Result<Uri, E> {
        let Some(kept) = self.0.get(place) else { return make() };
        match kept.get() {
            Some(url) => Ok(url.clone()),
            None => make().map(|url| kept.get_or_init(|| url).clone()),
        }
    }
}
