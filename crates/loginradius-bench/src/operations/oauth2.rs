use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;

use ::oauth2::basic::BasicClient;
use ::oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, DeviceAuthorizationUrl, HttpRequest, HttpResponse,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RevocationUrl, Scope, StandardDeviceAuthorizationResponse,
    StandardRevocableToken, TokenUrl,
};

use super::server::{
    CLIENT_ID, CLIENT_SECRET, CODE, CODE_VERIFIER, Operation, REDIRECT_URI, REFRESH_TOKEN, SCOPE, Server,
};

pub(super) fn prepare(operation: Operation, server: Server<Vec<u8>>) -> Option<Box<dyn FnMut()>> {
    let times = server.requests_left();
    let public = BasicClient::new(ClientId::new(CLIENT_ID.to_owned())).set_auth_type(AuthType::RequestBody);
    let confidential = public.clone().set_client_secret(ClientSecret::new(CLIENT_SECRET.to_owned()));
    let server = RefCell::new(server);
    let send = move |request: HttpRequest| -> Result<HttpResponse, Infallible> {
        Ok(server.borrow_mut().respond(request).unwrap_or_else(denied))
    };
    Some(match operation {
        Operation::Device => {
            let url = DeviceAuthorizationUrl::new(url(operation)).expect("a URL");
            let client = public.set_device_authorization_url(url);
            let mut scopes = copies(times, || Scope::new(SCOPE.to_owned()));
            Box::new(move || {
                while let Some(scope) = scopes.pop() {
                    let details: StandardDeviceAuthorizationResponse =
                        client.exchange_device_code().add_scope(scope).request(&send).expect("the operation succeeds");
                    black_box(details);
                }
            })
        }
        Operation::PollPending => {
            let client = public.set_token_uri(token_url(operation));
            let (_, grant) = Operation::Device.response();
            let details: StandardDeviceAuthorizationResponse = serde_json::from_str(grant).expect("a grant");
            Box::new(move || {
                // It polls until the server has no more responses, and denies the login.
                let result = client.exchange_device_access_token(&details).request(&send, |_| {}, None);
                assert!(result.is_err());
            })
        }
        Operation::Refresh => {
            let client = confidential.set_token_uri(token_url(operation));
            let token = RefreshToken::new(REFRESH_TOKEN.to_owned());
            Box::new(move || {
                for _ in 0..times {
                    black_box(client.exchange_refresh_token(&token).request(&send).expect("the operation succeeds"));
                }
            })
        }
        Operation::Code => {
            let redirect_uri = RedirectUrl::new(REDIRECT_URI.to_owned()).expect("a URL");
            let client = confidential.set_token_uri(token_url(operation)).set_redirect_uri(redirect_uri);
            let mut codes = copies(times, || {
                (AuthorizationCode::new(CODE.to_owned()), PkceCodeVerifier::new(CODE_VERIFIER.to_owned()))
            });
            Box::new(move || {
                while let Some((code, verifier)) = codes.pop() {
                    let tokens = client.exchange_code(code).set_pkce_verifier(verifier).request(&send);
                    black_box(tokens.expect("the operation succeeds"));
                }
            })
        }
        Operation::Revoke => {
            let client = confidential.set_revocation_url(RevocationUrl::new(url(operation)).expect("a URL"));
            let mut tokens =
                copies(times, || StandardRevocableToken::RefreshToken(RefreshToken::new(REFRESH_TOKEN.to_owned())));
            Box::new(move || {
                while let Some(token) = tokens.pop() {
                    client.revoke_token(token).expect("an https URL").request(&send).expect("the operation succeeds");
                }
            })
        }
        Operation::JwtByToken => return None,
    })
}

fn url(operation: Operation) -> String {
    format!("https://cloud-api.loginradius.com{}", operation.path())
}

fn token_url(operation: Operation) -> TokenUrl {
    TokenUrl::new(url(operation)).expect("a URL")
}

/// Makes what the client takes as its own, as a program has it from elsewhere.
fn copies<T>(times: usize, make: impl Fn() -> T) -> Vec<T> {
    (0..times).map(|_| make()).collect()
}

fn denied() -> HttpResponse {
    let mut response = HttpResponse::new(br#"{"error":"access_denied"}"#.to_vec());
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    response
}
