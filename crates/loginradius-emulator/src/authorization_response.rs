//! Where a browser is sent after a login, and with which parameters.

use std::fmt;

/// How an authorization response or a JWT reaches the application: OAuth's `response_mode`, and "Response Mode" of
/// LoginRadius's guide "JWT".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of the URL.
    Query,
    /// In the fragment of the URL, which browsers do not send: only scripts of the page can read it.
    Fragment,
    /// In a form that the browser posts to the URL: OAuth's `form_post`.
    Post,
}

/// Where a browser is sent after a login, and with which parameters (RFC 6749, section 4.1.2), as
/// [`Emulator::authorize`](crate::Emulator::authorize) returns it.
///
/// Its `Debug` omits the parameters.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthorizationResponse {
    /// The URL: the header `Location`, or the URL to which the form is posted.
    pub url: String,
    /// The fields of the form that is posted there. `None` if the parameters are in the URL.
    pub form: Option<Vec<(String, String)>>,
}

impl AuthorizationResponse {
    /// Adds the parameters to a redirect URI, which has no fragment. A query that it has is kept (RFC 6749, section
    /// 3.1.2).
    pub(crate) fn new(redirect_uri: &str, mode: ResponseMode, params: Vec<(&str, String)>) -> Self {
        let encoded = || form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
        match mode {
            ResponseMode::Query => {
                let joint = match redirect_uri.split_once('?') {
                    None => "?",
                    Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
                    Some(_) => "&",
                };
                Self { url: format!("{redirect_uri}{joint}{}", encoded()), form: None }
            }
            ResponseMode::Fragment => Self { url: format!("{redirect_uri}#{}", encoded()), form: None },
            ResponseMode::Post => {
                let form = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                Self { url: redirect_uri.to_owned(), form: Some(form) }
            }
        }
    }

    /// Returns the value of a parameter, from the form, the fragment or the query. Of several with this name it is the
    /// last one: the response comes after the redirect URI's own query.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        if let Some(form) = &self.form {
            return form.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        }
        let (rest, fragment) = self.url.split_once('#').unwrap_or((&self.url, ""));
        let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
        [fragment, query].into_iter().find_map(|text| {
            let values = form_urlencoded::parse(text.as_bytes()).filter(|(key, _)| key == name);
            values.last().map(|(_, value)| value.into_owned())
        })
    }
}

impl fmt::Debug for AuthorizationResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.url.split(['?', '#']).next().unwrap_or_default();
        formatter
            .debug_struct("AuthorizationResponse")
            .field("address", &address)
            .field("is_form", &self.form.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(redirect_uri: &str, mode: ResponseMode) -> String {
        AuthorizationResponse::new(redirect_uri, mode, vec![("code", "a b&c".into()), ("state", "é".into())]).url
    }

    #[test]
    fn a_query_that_the_address_has_is_kept() {
        let response = "code=a+b%26c&state=%C3%A9";
        for (before, after) in [
            ("http://127.0.0.1/", "http://127.0.0.1/?"),
            ("http://127.0.0.1", "http://127.0.0.1?"),
            ("http://127.0.0.1/?", "http://127.0.0.1/?"),
            ("http://127.0.0.1/?a=1", "http://127.0.0.1/?a=1&"),
            ("http://127.0.0.1/?a=1&", "http://127.0.0.1/?a=1&"),
            ("http://127.0.0.1/?a=%26&b", "http://127.0.0.1/?a=%26&b&"),
        ] {
            assert_eq!(url(before, ResponseMode::Query), format!("{after}{response}"));
            assert_eq!(url(before, ResponseMode::Fragment), format!("{before}#{response}"));
            assert_eq!(url(before, ResponseMode::Post), before);
        }
    }

    #[test]
    fn a_parameter_of_the_response_is_found_in_every_mode() {
        for mode in [ResponseMode::Query, ResponseMode::Fragment, ResponseMode::Post] {
            let landing =
                AuthorizationResponse::new("http://127.0.0.1/?code=old&x=1", mode, vec![("code", "a b".into())]);
            assert_eq!(landing.param("code").as_deref(), Some("a b"), "{mode:?}");
            assert_eq!(landing.param("state"), None);
            assert!(!format!("{landing:?}").contains("old"));
        }
    }
}
