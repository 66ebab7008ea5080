//! Where a browser goes when a sign-in is over, and what it carries there.

use std::fmt;

/// How the answer to a sign-in through a browser reaches the application: LoginRadius's guide "JWT" calls it "Response
/// Mode", OAuth `response_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of the address.
    Query,
    /// In the fragment of the address, which browsers keep to themselves and to scripts of the page.
    Fragment,
    /// In a form that the browser posts to the address: OAuth's `form_post`.
    Post,
}

/// Where a browser is sent when a sign-in is over, as [`Emulator::authorize`](crate::Emulator::authorize) tells it.
///
/// Its `Debug` leaves the parameters out.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Landing {
    /// The address: the header `Location`, or what the form is posted to.
    pub url: String,
    /// The fields of the form that is posted there; `None` if the answer is in the address.
    pub form: Option<Vec<(String, String)>>,
}

impl Landing {
    /// `redirect_uri` has no fragment. A query that it has is kept (RFC 6749, section 3.1.2).
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

    /// The value of a parameter, wherever it is: in the form, the fragment or the query. Of several with that name it
    /// is the last, since the answer comes after what the address had before.
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

impl fmt::Debug for Landing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.url.split(['?', '#']).next().unwrap_or_default();
        formatter
            .debug_struct("Landing")
            .field("address", &address)
            .field("is_form", &self.form.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(redirect_uri: &str, mode: ResponseMode) -> String {
        Landing::new(redirect_uri, mode, vec![("code", "a b&c".into()), ("state", "é".into())]).url
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
    fn the_answers_parameter_is_found_wherever_it_is() {
        for mode in [ResponseMode::Query, ResponseMode::Fragment, ResponseMode::Post] {
            let landing = Landing::new("http://127.0.0.1/?code=old&x=1", mode, vec![("code", "a b".into())]);
            assert_eq!(landing.param("code").as_deref(), Some("a b"), "{mode:?}");
            assert_eq!(landing.param("state"), None);
            assert!(!format!("{landing:?}").contains("old"));
        }
    }
}
