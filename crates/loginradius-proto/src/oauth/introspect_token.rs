use std::time::{Duration, SystemTime};

use http::{Request, Response};
use serde_json::value::RawValue;

use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::route::Route;
use crate::secret::AccessToken;
use crate::wire::head::ResponseHead;
use crate::wire::json::{self, FieldProblem, JsonText, Object};
use crate::wire::number;
use crate::wire::request::{self, Param};
use crate::wire::response::ResponseReader;

/// LoginRadius's "Introspect Token": asks whether a token of this app is active, and whose it is ([RFC 7662]).
///
/// An API does this with the token that a caller presents. It needs [`App::with_client_secret`].
///
/// | API | address |
/// | --- | --- |
/// | site | `POST /api/oauth/{name}/introspect` |
/// | OpenID Connect | `POST /api/oidc/{name}/introspect` |
/// | classic, classic OpenID Connect | none |
///
/// `{name}` is [`App::with_oauth_app`], or [`App::with_oidc_app`] for OpenID Connect.
///
/// ```
/// use loginradius_proto::oauth::{Introspection, IntrospectToken};
/// use loginradius_proto::{App, Body, Endpoint, Service, http};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let app = App::new("my-client-id")
///     .with_client_secret("my-client-secret")
///     .with_oidc_app("my-oidc-app")
///     .with_service(Service::oidc("acme.hub.loginradius.com")?);
/// let operation = IntrospectToken::new("3976a939");
/// let request = operation.request(&app)?;
/// # assert_eq!(request.uri().path(), "/api/oidc/my-oidc-app/introspect");
/// // Send it, and:
/// let response = http::Response::new(Body::from(r#"{"active":true,"sub":"699f40ae","scp":["openid"]}"#));
/// match operation.response(&app, response)? {
///     Introspection::Active(token) => assert_eq!(token.subject.as_deref(), Some("699f40ae")),
///     Introspection::Inactive => panic!("it has expired, was revoked, or is not of this app"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662
#[derive(Debug, Clone)]
#[doc(alias("introspection", "active", "validate token", "RFC 7662"))]
pub struct IntrospectToken {
    token: AccessToken,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "RFC 7662 has these two")]
pub enum Introspection {
    /// It may be used.
    Active(ActiveToken),
    /// It must not be used: it has expired, was revoked, or is not of this app. LoginRadius does not say which.
    Inactive,
}

/// What LoginRadius says of an active token. A claim that is missing or null is `None` or empty.
///
/// Compare the audience and the scope with what your API needs: that a token is active does not mean that it is for
/// you.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveToken {
    /// Whose it is (`sub`).
    pub subject: Option<String>,
    /// The client that it was issued to (`client_id`; LoginRadius also writes `cid` and `azp`).
    pub client_id: Option<String>,
    /// Who issued it (`iss`).
    pub issuer: Option<String>,
    /// Whom it is for (`aud`, a string or an array).
    pub audience: Vec<String>,
    /// What it allows (`scope`, separated by spaces, or LoginRadius's array `scp`).
    pub scope: Vec<String>,
    /// By which grant it was issued (LoginRadius's `gty`).
    pub grant_type: Option<String>,
    /// When it expires (`exp`).
    pub expires_at: Option<SystemTime>,
    /// When it was issued (`iat`).
    pub issued_at: Option<SystemTime>,
    /// From when on it may be used (`nbf`).
    pub not_before: Option<SystemTime>,
}

impl IntrospectToken {
    /// Makes the operation of that token.
    #[must_use]
    pub fn new(token: impl Into<AccessToken>) -> Self {
        Self { token: token.into() }
    }
}

impl Endpoint for IntrospectToken {
    type Response = Introspection;

    fn name(&self) -> &'static str {
        "Introspect Token"
    }

    fn request(&self, app: &App) -> Result<Request<Body>, Error> {
        let params = [Param::Required("token", self.token.expose())];
        request::authenticated(self.name(), app, Route::Introspect, &params)
    }

    fn response(&self, app: &App, response: Response<Body>) -> Result<Introspection, Error> {
        ResponseReader::of_route(self, app, Route::Introspect).object(&response, "active", read)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.token.expose()]
    }

    fn repeatable(&self) -> bool {
        true
    }
}

fn read(object: &Object<'_>, _: &ResponseHead<'_>) -> Result<Introspection, FieldProblem> {
    match object.raw("active").map(RawValue::get) {
        Some("true") => ActiveToken::read(object).map(Introspection::Active),
        Some("false") => Ok(Introspection::Inactive),
        _ => Err(FieldProblem::not_a_boolean("active")),
    }
}

impl ActiveToken {
    fn read(object: &Object<'_>) -> Result<Self, FieldProblem> {
        let client_id = ["client_id", "cid", "azp"].into_iter().find_map(|name| line(object, name).transpose());
        let mut scope: Vec<String> =
            line(object, "scope")?.iter().flat_map(|text| text.split(' ')).map(str::to_owned).collect();
        scope.extend(lines(object, "scp")?);
        scope.retain(|one| !one.is_empty());
        Ok(Self {
            subject: line(object, "sub")?,
            client_id: client_id.transpose()?,
            issuer: line(object, "iss")?,
            audience: lines(object, "aud")?,
            scope,
            grant_type: line(object, "gty")?,
            expires_at: time(object, "exp")?,
            issued_at: time(object, "iat")?,
            not_before: time(object, "nbf")?,
        })
    }
}

/// Reads a text that a program may show.
fn line(object: &Object<'_>, name: &'static str) -> Result<Option<String>, FieldProblem> {
    let text = object.text(name)?.map(JsonText::into_string);
    json::check_line(name, text.as_deref())?;
    Ok(text)
}

/// Reads a text or an array of texts.
fn lines(object: &Object<'_>, name: &'static str) -> Result<Vec<String>, FieldProblem> {
    let texts = match object.texts(name) {
        Some(texts) => texts?,
        None => return Ok(line(object, name)?.into_iter().collect()),
    };
    let texts: Vec<_> = texts.into_iter().map(JsonText::into_string).collect();
    texts.iter().try_for_each(|text| json::check_line(name, Some(text)))?;
    Ok(texts)
}

fn time(object: &Object<'_>, name: &'static str) -> Result<Option<SystemTime>, FieldProblem> {
    let Some(raw) = object.raw(name).filter(|raw| raw.get() != "null") else { return Ok(None) };
    let since: Duration = number::seconds(raw).ok_or(FieldProblem::not_a_time(name))?;
    SystemTime::UNIX_EPOCH.checked_add(since).map(Some).ok_or(FieldProblem::not_a_time(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::BodyFormat::Form;
    use crate::error::ErrorKind;
    use crate::testing::{oidc_app, response};

    fn introspect(body: &str) -> Result<Introspection, Error> {
        IntrospectToken::new("3976a939").response(&oidc_app(Form), response(200, body))
    }

    #[test]
    fn claims_are_read_in_all_their_forms_and_null_is_none() {
        let nothing = ActiveToken::default();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let table = [
            ("", nothing.clone()),
            (r#","sub":null,"aud":null,"exp":null,"scp":null,"cid":null"#, nothing.clone()),
            (r#","aud":"a""#, ActiveToken { audience: texts(&["a"]), ..nothing.clone() }),
            (r#","aud":["a","b"]"#, ActiveToken { audience: texts(&["a", "b"]), ..nothing.clone() }),
            (r#","scope":"openid  profile""#, ActiveToken { scope: texts(&["openid", "profile"]), ..nothing.clone() }),
            (r#","scp":["openid"]"#, ActiveToken { scope: texts(&["openid"]), ..nothing.clone() }),
            (r#","azp":"c","cid":null"#, ActiveToken { client_id: Some("c".to_owned()), ..nothing.clone() }),
            (
                r#","exp":1745988311,"iat":"5","nbf":0"#,
                ActiveToken { expires_at: at(1_745_988_311), issued_at: at(5), not_before: at(0), ..nothing },
            ),
        ];
        for (claims, expected) in table {
            let state = introspect(&format!(r#"{{"active":true{claims}}}"#)).unwrap();
            assert_eq!(state, Introspection::Active(expected), "{claims}");
        }
    }

    #[test]
    fn nothing_but_true_makes_a_token_active() {
        for body in [r#"{"active":false}"#, r#"{"active":false,"sub":5,"aud":{}}"#] {
            assert_eq!(introspect(body).unwrap(), Introspection::Inactive, "{body}");
        }
        for body in [r#"{"active":"true"}"#, r#"{"active":1}"#, r#"{"active":[true]}"#, r#"{"active":"false"}"#] {
            let error = introspect(body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{body}: {error}");
            assert!(error.to_string().contains("`active` is neither true nor false"), "{error}");
        }
        for body in ["{}", r#"{"active":null}"#, "true"] {
            assert!(introspect(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_claim_of_another_type_or_with_an_invisible_character_is_an_error() {
        for (claim, name) in [
            (r#""sub":5"#, "sub"),
            (r#""sub":"a\u0000""#, "sub"),
            (r#""aud":{}"#, "aud"),
            (r#""aud":["a",5]"#, "aud"),
            (r#""aud":["a",null]"#, "aud"),
            (r#""aud":["a\n"]"#, "aud"),
            (r#""scp":"a\u202eb""#, "scp"),
            (r#""exp":"soon""#, "exp"),
            (r#""exp":-1"#, "exp"),
            (r#""exp":1e300"#, "exp"),
        ] {
            let error = introspect(&format!(r#"{{"active":true,{claim}}}"#)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{claim}: {error}");
            assert!(error.to_string().contains(&format!("`{name}`")), "{claim}: {error}");
        }
    }
}
