//! Responses that are not LoginRadius's: a gateway's, a hotel network's, another server's.

use loginradius_conformance::{Adapter, Server, Settings, secrets};
use loginradius_proto::Error;
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{RequestDeviceCode, RevokeRefreshToken};

use crate::case::{Case, app, case};
use crate::connecting::refresh;

/// A page that has a secret of the request in it.
const PAGE: &str = "<!DOCTYPE html><title>Sign in to the hotel's network</title><p>canary-refresh-token-62f7";

fn respond(status: &str, headers: &str, body: &str) -> Server {
    let response = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    Server::responding(move |_| response.clone().into_bytes())
}

fn refreshing<A: Adapter>(status: &str, headers: &str, body: &str) -> Error {
    refresh::<A>(&respond(status, headers, body).url(), &Settings::default())
}

pub(crate) fn cases() -> Vec<Case> {
    [gateways(), bodies()].into_iter().flatten().collect()
}

fn gateways() -> Vec<Case> {
    vec![
        case!("a sign-in page of a hotel network", <A> { refreshing::<A>("200 OK", "", PAGE) }),
        case!("a hotel network that wants a login first", <A> {
            refreshing::<A>("511 Network Authentication Required", "", PAGE)
        }),
        case!("a redirect", <A> {
            refreshing::<A>("302 Found", "Location: https://login.example.com/?next=1\r\n", "")
        }),
        case!("a gateway that wants credentials", <A> { refreshing::<A>("401 Unauthorized", "", PAGE) }),
        case!("a firewall that refuses the request", <A> { refreshing::<A>("403 Forbidden", "", PAGE) }),
        case!("a server that does not know the path", <A> { refreshing::<A>("404 Not Found", "", PAGE) }),
        case!("a gateway for which the request is too long", <A> {
            refreshing::<A>("413 Content Too Large", "", PAGE)
        }),
        case!("a gateway that wants another format of the body", <A> {
            refreshing::<A>("415 Unsupported Media Type", "", PAGE)
        }),
        case!("too many requests", <A> { refreshing::<A>("429 Too Many Requests", "", "Too many requests") }),
        case!("too many requests, with Retry-After", <A> {
            refreshing::<A>("429 Too Many Requests", "Retry-After: 7\r\n", "Too many requests")
        }),
        case!("an internal error with a page", <A> { refreshing::<A>("500 Internal Server Error", "", PAGE) }),
        case!("an outage with a page and Retry-After", <A> {
            refreshing::<A>("503 Service Unavailable", "Retry-After: 120\r\n", PAGE)
        }),
        case!("a gateway whose server does not respond, three times", <A> {
            let server = respond("504 Gateway Timeout", "", PAGE);
            let client = A::new(app(&server.url()), &Settings::attempts(3)).unwrap();
            client.call(&JwtByAccessToken::new(secrets::ACCESS_TOKEN)).unwrap_err()
        }),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        case!("a success with an empty body", <A> { refreshing::<A>("200 OK", "", "") }),
        case!("a success without an access token", <A> {
            refreshing::<A>("200 OK", "", r#"{"refresh_token":"canary-in-response-c37d"}"#)
        }),
        case!("a success with an access token that is a number", <A> {
            refreshing::<A>("200 OK", "", r#"{"access_token":42}"#)
        }),
        case!("an access token with a line break", <A> {
            refreshing::<A>("200 OK", "", "{\"access_token\":\"canary-in-response-c37d\\n\"}")
        }),
        case!("a device code without an address for the user", <A> {
            let body = r#"{"device_code":"canary-in-response-c37d","user_code":"ABCD","expires_in":600}"#;
            let server = respond("200 OK", "", body);
            let client = A::new(app(&server.url()), &Settings::default()).unwrap();
            client.call(&RequestDeviceCode::new()).unwrap_err()
        }),
        case!("a content encoding that was not requested", <A> {
            refreshing::<A>("200 OK", "Content-Encoding: br\r\n", "canary-in-response-c37d")
        }),
        case!("gzip that is damaged", <A> {
            refreshing::<A>("200 OK", "Content-Encoding: gzip\r\n", "canary-in-response-c37d")
        }),
        case!("an error that LoginRadius does not document", <A> {
            let body = r#"{"ErrorCode":4711,"Message":"The moon is full","Description":"Wait for another night."}"#;
            refreshing::<A>("403 Forbidden", "", body)
        }),
        case!("an error of LoginRadius's that is about a parameter", <A> {
            let body = r#"{"ErrorCode":908,"Message":"A parameter is invalid","Description":"It is not formatted"}"#;
            refreshing::<A>("400 Bad Request", "", body)
        }),
        case!("a client that may not use this grant type", <A> {
            refreshing::<A>("400 Bad Request", "", r#"{"error":"unauthorized_client"}"#)
        }),
        case!("an app that takes JSON only", <A> {
            let body = r#"{"ErrorCode":965,"Message":"The post body is invalid"}"#;
            refreshing::<A>("400 Bad Request", "", body)
        }),
        case!("a request that LoginRadius cannot read", <A> {
            let body = r#"{"error":"invalid_request","error_description":"grant_type is required"}"#;
            refreshing::<A>("400 Bad Request", "", body)
        }),
        case!("a scope that the app does not have", <A> {
            let server = respond("400 Bad Request", "", r#"{"error":"invalid_scope"}"#);
            let client = A::new(app(&server.url()), &Settings::default()).unwrap();
            client.call(&RequestDeviceCode::new().scope("admin")).unwrap_err()
        }),
        case!("LoginRadius itself is out of order", <A> {
            refreshing::<A>("500 Internal Server Error", "", r#"{"error":"server_error"}"#)
        }),
        case!("a refresh token that is gone, when it is revoked", <A> {
            let body = r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#;
            let server = respond("400 Bad Request", "", body);
            let client = A::new(app(&server.url()), &Settings::default()).unwrap();
            client.call(&RevokeRefreshToken::new(secrets::REFRESH_TOKEN)).unwrap_err()
        }),
    ]
}
