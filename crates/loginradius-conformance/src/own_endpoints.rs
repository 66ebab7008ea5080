//! Calls of LoginRadius that a program adds: they get what the operations of this workspace get.

use loginradius_emulator::{self as emulator, Emulator, Fault, seeded};
use loginradius_proto::{
    AccessToken, Api, App, Body, Endpoint, Error, ErrorKind, Password, RequestBuilder, ResponseReader, Service, http,
};
use serde::{Deserialize, Serialize};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;
use crate::server::Server;

/// LoginRadius's "Auth Read all Profiles by Token".
struct ReadProfile {
    access_token: AccessToken,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Profile {
    uid: String,
    email: Vec<Email>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Email {
    value: String,
}

impl Endpoint for ReadProfile {
    type Response = Profile;

    fn name(&self) -> &'static str {
        "Auth Read all Profiles by Token"
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        RequestBuilder::get(app.service().api_host(), "/identity/v2/auth/account")
            .query("apikey", app.api_key())
            .bearer(&self.access_token)
            .build()
    }

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<Profile, Error> {
        ResponseReader::new(self, app).json(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.access_token.expose()]
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// LoginRadius's "Add Email", as JSON or as a form, with a password that it does not have.
struct AddEmail {
    access_token: AccessToken,
    password: Password,
    as_form: bool,
}

#[derive(Serialize)]
struct NewEmail<'a> {
    email: &'a str,
    r#type: &'a str,
    password: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Posted {
    is_posted: bool,
}

impl Endpoint for AddEmail {
    type Response = Posted;

    fn name(&self) -> &'static str {
        "Add Email"
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        let request = RequestBuilder::post(app.service().api_host(), "/identity/v2/auth/email")
            .query("apikey", app.api_key())
            .bearer(&self.access_token);
        let body = NewEmail { email: "ada.l@example.com", r#type: "Secondary", password: self.password.expose() };
        if self.as_form { request.form(&body) } else { request.json(&body) }.build()
    }

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<Posted, Error> {
        ResponseReader::new(self, app).json(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.access_token.expose(), self.password.expose()]
    }
}

fn signed_in(emulator: &Emulator) -> AccessToken {
    emulator.login(&seeded::ADA).access_token.into()
}

fn the_profile_is_read_by_access_token<A: Adapter>() {
    for api in [Api::Classic, Api::Site] {
        let emulator = Emulator::start().unwrap();
        let client = A::new(app(&emulator, api), &Settings::default()).unwrap();
        let profile = client.call(&ReadProfile { access_token: signed_in(&emulator) }).unwrap();
        assert_eq!(profile.email[0].value, seeded::ADA.email);
        assert!(!profile.uid.is_empty());

        let error = client.call(&ReadProfile { access_token: "no-such-token-of-ada".into() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error}");
        assert!(error.to_string().starts_with("Auth Read all Profiles by Token: LoginRadius responded"), "{error}");
        assert!(!format!("{error:?}{error:#?}").contains("no-such-token"), "{error:?}");
    }
}

fn a_body_is_posted_as_json_or_as_a_form<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    for (as_form, format) in [(false, emulator::BodyFormat::Json), (true, emulator::BodyFormat::Form)] {
        let access_token = signed_in(&emulator);
        emulator.clear_requests();
        let add = AddEmail { access_token, password: "p4ssw0rd-of-ada".into(), as_form };
        assert!(client.call(&add).unwrap().is_posted);
        let request = emulator.requests().remove(0);
        assert_eq!((request.body_format, request.param("email")), (format, Some("ada.l@example.com")));
    }
}

fn it_is_sent_again_if_that_is_safe<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::attempts(3)).unwrap();
    emulator.fault_times(emulator::Operation::Profile, Fault::Status(502), 2);
    client.call(&ReadProfile { access_token: signed_in(&emulator) }).unwrap();
    assert_eq!(emulator.requests().len(), 3);

    emulator.clear_requests();
    emulator.fault_times(emulator::Operation::AddEmail, Fault::DropAfter, 1);
    let add = AddEmail { access_token: signed_in(&emulator), password: "x".into(), as_form: false };
    assert_eq!(client.call(&add).unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(emulator.requests().len(), 1);
}

/// An operation that goes to a fixed address, whatever the app's service is.
struct Elsewhere(String);

impl Endpoint for Elsewhere {
    type Response = ();

    fn name(&self) -> &'static str {
        "Elsewhere"
    }

    fn request(&self, _: &App) -> Result<http::Request<Body>, Error> {
        Ok(http::Request::get(&self.0).body(Body::empty()).unwrap())
    }

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<(), Error> {
        ResponseReader::new(self, app).empty(&response)
    }

    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }
}

fn a_host_that_is_not_the_services_is_sent_nothing<A: Adapter>() {
    let (here, there) = (Server::responding(|_| Vec::new()), Server::responding(|_| Vec::new()));
    let app = App::new("my-api-key").with_service(Service::classic_at(&here.url()).unwrap());
    let client = A::new(app, &Settings::attempts(3)).unwrap();
    for address in [there.url(), here.https_url(), here.url().replace("127.0.0.1", "localhost")] {
        let error = client.call(&Elsewhere(format!("{address}/a"))).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Misuse, Some("Elsewhere")), "{error}");
    }
    assert_eq!((here.connections(), there.connections()), (0, 0));
}

fn the_api_host_can_be_elsewhere<A: Adapter>() {
    let (emulator, other) = (Emulator::start().unwrap(), Emulator::start().unwrap());
    let service = Service::classic_at(emulator.base_url()).unwrap().with_api_host(other.base_url()).unwrap();
    let client = A::new(app(&emulator, Api::Classic).with_service(service), &Settings::default()).unwrap();
    client.call(&ReadProfile { access_token: signed_in(&other) }).unwrap();
    assert_eq!((emulator.requests().len(), other.requests().len()), (0, 1));
}

/// The one address is this machine's, the other is not: only the latter goes through the proxy.
fn each_address_goes_its_own_way<A: Adapter>() {
    let proxy = crate::proxies::refusing_proxy();
    let emulator = Emulator::start().unwrap();
    let service = Service::classic_at(emulator.base_url()).unwrap().with_api_host("https://acme.invalid").unwrap();
    let settings = Settings { proxy: Some(proxy.url()), ..Settings::attempts(2) };
    let client = A::new(app(&emulator, Api::Classic).with_service(service), &settings).unwrap();

    let login = loginradius_proto::oauth::AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password);
    let tokens = client.call(&login).unwrap();
    assert_eq!(proxy.connections(), 0);
    let error = client.call(&ReadProfile { access_token: tokens.access_token }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    crate::proxies::assert_connects(&proxy, 2);
}

fn a_password_that_the_server_repeats_reaches_no_error<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let body = r#"{"ErrorCode":1198,"Message":"wrong password: p4ssw0rd-of-ada","Description":"p4ssw0rd-of-ada"}"#;
    let repeats = Fault::Respond { status: 403, headers: Vec::new(), body: body.to_owned() };
    emulator.fault(emulator::Operation::AddEmail, repeats);
    let add = AddEmail { access_token: signed_in(&emulator), password: "p4ssw0rd-of-ada".into(), as_form: false };
    let error = client.call(&add).unwrap_err();
    let printed = format!("{error}{error:?}{error:#?}");
    assert!(printed.contains("[redacted]") && !printed.contains("p4ssw0rd"), "{printed}");
}

fn a_response_of_two_mebibytes_is_not_read<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let body = format!(r#"{{"IsPosted":true,"More":"{}"}}"#, "x".repeat(2 << 20));
    emulator.fault(emulator::Operation::AddEmail, Fault::Respond { status: 200, headers: Vec::new(), body });
    let add = AddEmail { access_token: signed_in(&emulator), password: "x".into(), as_form: false };
    let error = client.call(&add).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert!(format!("{error:?}").contains("longer than 1 MiB"), "{error:?}");
}

fn json_of_another_shape_is_an_invalid_response<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let body = r#"{"IsPosted":"s3cret"}"#.to_owned();
    emulator.fault(emulator::Operation::AddEmail, Fault::Respond { status: 200, headers: Vec::new(), body });
    let add = AddEmail { access_token: signed_in(&emulator), password: "x".into(), as_form: false };
    let error = client.call(&add).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(
        error.to_string().contains("does not match the endpoint's type") && !format!("{error:?}").contains("s3cret"),
        "{error:?}"
    );
}

/// Some servers refuse a request without a length (HTTP 411).
fn a_body_that_is_empty_has_a_length<A: Adapter>() {
    struct Empty(http::Method);

    impl Endpoint for Empty {
        type Response = ();

        fn name(&self) -> &'static str {
            "Empty"
        }

        fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
            RequestBuilder::new(self.0.clone(), app.service().api_host(), "/a").build()
        }

        fn response(&self, app: &App, response: http::Response<Body>) -> Result<(), Error> {
            ResponseReader::new(self, app).empty(&response)
        }

        fn secrets(&self) -> Vec<&str> {
            Vec::new()
        }
    }

    let server = Server::responding(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let app = App::new("my-api-key").with_service(Service::classic_at(&server.url()).unwrap());
    let client = A::new(app, &Settings::default()).unwrap();
    for method in [http::Method::POST, http::Method::PUT, http::Method::PATCH] {
        client.call(&Empty(method)).unwrap();
    }
    client.call(&Empty(http::Method::GET)).unwrap();
    client.call(&Empty(http::Method::DELETE)).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    for request in &requests[..3] {
        assert!(request.head.to_ascii_lowercase().contains("\r\ncontent-length: 0\r\n"), "{}", request.head);
    }
}

cases!(($) own_endpoints own_endpoints_cases {
    the_profile_is_read_by_access_token,
    a_body_is_posted_as_json_or_as_a_form,
    it_is_sent_again_if_that_is_safe,
    a_host_that_is_not_the_services_is_sent_nothing,
    the_api_host_can_be_elsewhere,
    each_address_goes_its_own_way,
    a_password_that_the_server_repeats_reaches_no_error,
    a_response_of_two_mebibytes_is_not_read,
    json_of_another_shape_is_an_invalid_response,
    a_body_that_is_empty_has_a_length,
});
