use loginradius_proto::Error;

use crate::store::AsyncSessionStore;

/// The pages of a store's list of names, one after the other.
pub(crate) struct Pages<'a> {
    prefix: &'a str,
    after: Option<String>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(prefix: &'a str) -> Self {
        Self { prefix, after: None }
    }

    /// Gets the next page; `None` at the end.
    pub(crate) async fn next<S: AsyncSessionStore + ?Sized>(
        &mut self,
        store: &S,
    ) -> Result<Option<Vec<String>>, Error> {
        let page = store.names(self.prefix, self.after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(None) };
        // Otherwise the pages would never end, or leave out names.
        if !page.is_sorted() || self.after.as_ref().is_some_and(|after| page.iter().any(|name| name <= after)) {
            return Err(Error::misuse(
                "the store lists its sessions in another order than that of the bytes of their names: correct its \
                 method `names`, for example by the column's collation",
            ));
        }
        self.after = Some(last.clone());
        Ok(Some(page))
    }
}
