//! The JWT redirect: the address, and the JWT that comes back.

use loginradius_proto::browser::{BrowserRequest, JwtRedirect, ReceivedJwt};
use loginradius_proto::{App, ErrorKind, Nonce};

use crate::fixtures::*;

fn redirect() -> JwtRedirect {
    JwtRedirect::new(ADDRESS, "token")
}

#[test]
fn a_classic_address_has_the_state_in_its_return_address() {
    let [state, ..] = made_of(0);
    let url = begin(&redirect(), &classic().with_api_key("my-api-key")).url;
    assert_eq!(
        url,
        format!(
            "https://cloud-api.loginradius.com/sso/jwt/redirect/token?apikey=my-api-key&jwtapp=my-jwt-app\
             &return_url=https%3A%2F%2Fapp.example%2Fcallback%3Fstate%3D{state}"
        )
    );
}

#[test]
fn a_return_address_with_a_query_keeps_it() {
    let [state, ..] = made_of(0);
    for (given, made) in [
        ("https://app.example/jwt?a=1", format!("https://app.example/jwt?a=1&state={state}")),
        ("https://app.example/jwt?a=b?c", format!("https://app.example/jwt?a=b?c&state={state}")),
        ("com.example.app:/jwt", format!("com.example.app:/jwt?state={state}")),
    ] {
        let url = begin(&JwtRedirect::new(given, "token"), &classic()).url;
        assert_eq!(parameter(&url, "return_url"), Some(made));
    }
}

#[test]
fn a_site_address_has_a_nonce_and_an_untouched_redirect_address() {
    let [_, _, nonce] = made_of(0);
    let url = begin(&redirect(), &site().with_api_key("my-api-key")).url;
    assert_eq!(
        url,
        format!(
            "https://acme.hub.loginradius.com/service/jwt/my-jwt-app/authorize?client_id=my-api-key\
             &redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&nonce={nonce}"
        )
    );
}

#[test]
fn the_jwt_app_is_needed_at_every_api() {
    for app in all_apis() {
        let app = App::new("key").with_service(app.service().clone());
        let error = redirect().begin(&app, &random(0), start());
        refused(error, ErrorKind::Configuration, "JWT Redirect: the JWT app's name is needed and not set");
        refused(
            redirect().begin(&app.with_jwt_app(""), &random(0), start()),
            ErrorKind::Configuration,
            "JWT Redirect: ",
        );
        let nameless = App::new("").with_jwt_app("x").with_service(site().service().clone());
        refused(redirect().begin(&nameless, &random(0), start()), ErrorKind::Configuration, "`client_id` is empty");
    }
}

#[test]
fn a_response_parameter_of_the_name_of_another_is_refused() {
    for name in
        ["", "state", "error", "error_description", "State", "ERROR", "error_uri", "scope", "token_type", "iss", "Iss"]
    {
        for app in all_apis() {
            let error = JwtRedirect::new(ADDRESS, name).begin(&app, &random(0), start());
            refused(
                error,
                ErrorKind::Configuration,
                "the response parameter is empty, or is the name of another parameter of a callback",
            );
        }
    }
}

#[test]
fn a_return_address_with_a_state_of_its_own_is_refused() {
    for address in [
        "https://a.example/?state=x",
        "https://a.example/?state",
        "https://a.example/?a&st%61te=",
        "https://a.example/?State=x",
    ] {
        let error = JwtRedirect::new(address, "token").begin(&classic(), &random(0), start());
        refused(error, ErrorKind::Configuration, "`state`");
    }
}

#[test]
fn the_callback_of_a_classic_login_is_recognized_by_its_state() {
    let [state, ..] = made_of(0);
    let mut pending = begin(&redirect(), &classic()).pending;
    let [others, ..] = made_of(1);
    for text in [
        "token=a.b.c".to_owned(),
        format!("token=a.b.c&state={others}"),
        format!("token=a.b.c&state={state}&state={state}"),
        format!("token=a.b.c&state=&state={state}"),
    ] {
        refused(accept(&mut pending, &text), ErrorKind::StateMismatch, "JWT Redirect: ");
    }
    let ReceivedJwt { jwt, nonce, .. } = accept(&mut pending, &format!("token=a.b.c&state={state}")).unwrap();
    assert_eq!(jwt.expose(), "a.b.c");
    assert!(nonce.is_none());
    refused(
        accept(&mut pending, &format!("token=a.b.c&state={state}")),
        ErrorKind::AlreadyCompleted,
        "was already used: begin a new login",
    );
}

#[test]
fn a_jwt_with_a_control_character_is_refused() {
    let [state, _, nonce] = made_of(0);
    let of_site = jwt_with(&format!(r#"{{"nonce":"{nonce}"}}"#));
    for (app, rest) in
        [(classic(), format!("token=a.b.c%0A&state={state}")), (site(), format!("token={of_site}%1b[0m"))]
    {
        let mut pending = begin(&redirect(), &app).pending;
        let text = "JWT Redirect: the callback's `token` has a character that is not allowed in it";
        refused(accept(&mut pending, &rest), ErrorKind::InvalidResponse, text);
    }
}

#[test]
fn the_callback_of_a_site_login_is_recognized_by_the_nonce_in_its_jwt() {
    let [state, verifier, nonce] = made_of(0);
    let [_, _, others] = made_of(1);
    let mut pending = begin(&redirect(), &site()).pending;
    let wrong = [
        jwt_with("{}"),
        jwt_with(r#"{"nonce":null}"#),
        jwt_with(r#"{"nonce":""}"#),
        jwt_with(r#"{"nonce":7}"#),
        jwt_with(&format!(r#"{{"nonce":["{nonce}"]}}"#)),
        jwt_with(&format!(r#"{{"nonce":"{others}"}}"#)),
        jwt_with(&format!(r#"{{"Nonce":"{nonce}"}}"#)),
        jwt_with(&format!(r#"{{"nonce":"{nonce}","nonce":"{others}"}}"#)),
        jwt_with(&format!(r#"{{"nonce":"{nonce}","nonce":"{nonce}"}}"#)),
        jwt_with(&format!(r#"{{"a":{{"nonce":"{nonce}"}}}}"#)),
        jwt_with(&format!(r#"{{"nonce":"{state}"}}"#)),
        jwt_with(&format!(r#"{{"nonce":"{verifier}"}}"#)),
        jwt_with(&format!(r#"{{"nonce":"{nonce}"}} x"#)),
        jwt_with(&format!(r#"["nonce","{nonce}"]"#)),
        jwt_with(&format!(r#"{{"nonce":"{nonce} "}}"#)),
        "".to_owned(),
        ".".to_owned(),
        "a.b.c".to_owned(),
        nonce.clone(),
        format!("..{nonce}"),
    ];
    for jwt in wrong {
        refused(
            accept(&mut pending, &format!("token={jwt}&state={state}")),
            ErrorKind::StateMismatch,
            "JWT Redirect: ",
        );
    }
    let right = jwt_with(&format!(r#"{{"sub":"x","nonce":"{nonce}"}}"#));
    for text in [
        format!("jwt={right}"),
        format!("token={right}&token={right}"),
        format!("token=&token={right}"),
        format!("Token={right}"),
        format!("state={nonce}&nonce={nonce}"),
        // Anyone can send that.
        "error=access_denied".to_owned(),
        format!("error=access_denied&nonce={nonce}"),
    ] {
        refused(accept(&mut pending, &text), ErrorKind::StateMismatch, "keep waiting");
    }
    let received = accept(&mut pending, &format!("token={right}")).unwrap();
    assert_eq!(received.jwt.expose(), right);
    assert_eq!(received.nonce.as_ref().map(Nonce::expose), Some(nonce.as_str()));
    refused(
        accept(&mut pending, &format!("token={right}")),
        ErrorKind::AlreadyCompleted,
        "was already used: begin a new login",
    );
}

#[test]
fn the_jwt_comes_under_the_configured_name_alone() {
    let [state, ..] = made_of(0);
    for name in ["jwt", "my_jwt", "Token", "a b&c"] {
        let mut pending = begin(&JwtRedirect::new(ADDRESS, name), &classic()).pending;
        let text = serde_urlencoded::to_string([
            ("token", "evil"),
            ("access_token", "evil"),
            (name, "a.b.c"),
            ("state", &state),
        ]);
        assert_eq!(accept(&mut pending, &text.unwrap()).unwrap().jwt.expose(), "a.b.c");
        let mut pending = begin(&JwtRedirect::new(ADDRESS, name), &classic()).pending;
        let text = format!("token=evil&jwt_token=evil&code=evil&state={state}");
        refused(accept(&mut pending, &text), ErrorKind::InvalidResponse, "the callback lacks");
        refused(accept(&mut pending, &text), ErrorKind::AlreadyCompleted, "was already used: begin a new login");
    }
}

#[test]
fn two_jwts_are_none() {
    let [state, ..] = made_of(0);
    for twice in ["token=a&token=b", "token=a&token=a", "token=&token=a", "token=a&tok%65n"] {
        let mut pending = begin(&redirect(), &classic()).pending;
        let outcome = accept(&mut pending, &format!("{twice}&state={state}"));
        refused(outcome, ErrorKind::InvalidResponse, "`token` more than once");
    }
}

#[test]
fn a_jwt_of_the_largest_callback_is_taken() {
    let [_, _, nonce] = made_of(0);
    let jwt = jwt_with(&format!(r#"{{"profile":"{}","nonce":"{nonce}"}}"#, "p".repeat(180_000)));
    let mut pending = begin(&redirect(), &site()).pending;
    assert_eq!(accept(&mut pending, &format!("token={jwt}")).unwrap().jwt.expose(), jwt);
}
