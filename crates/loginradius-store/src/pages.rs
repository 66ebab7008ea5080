use loginradius_proto::Error;

/// Goes through the pages of a store's list of names.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    after: Option<String>,
}

/// After so many errors, what is done to all listed sessions ends: the store does not work.
pub(crate) const MAX_FAILURES: usize = 10;

impl Pages {
    /// Returns the name after which the next page begins.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Takes the next page. Returns whether it has a name; otherwise it was the last one.
    ///
    /// # Errors
    ///
    /// If the names are not in the order of their bytes: then the pages might never end, or leave out names.
    pub(crate) fn take(&mut self, page: &[String]) -> Result<bool, Error> {
        let Some(last) = page.last() else { return Ok(false) };
        if !page.is_sorted() || page.first().map(String::as_str) <= self.after() {
            return Err(Error::misuse(
                "the store lists its sessions in another order than that of the bytes of their names: correct its \
                 method `names`, for example by the column's collation",
            ));
        }
        self.after = Some(last.clone());
        Ok(true)
    }
}
