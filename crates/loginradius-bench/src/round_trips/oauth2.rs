use std::hint::black_box;

use ::oauth2::basic::BasicClient;
use ::oauth2::{AuthType, ClientId, DeviceAuthorizationUrl, HttpRequest, HttpResponse, Scope};

use super::client::{Http, runtime};
use super::plain;
use crate::Result;
use crate::canned_server::Address;
use crate::operations::{CLIENT_ID, Operation, SCOPE};

pub(super) fn prepare(http: Http, operation: Operation, server: &Address) -> Result<Option<Box<dyn FnMut()>>> {
    if operation != Operation::Device {
        return Ok(None);
    }
    let url = DeviceAuthorizationUrl::new(format!("{}{}", server.url, operation.path()))?;
    let oauth2 = BasicClient::new(ClientId::new(CLIENT_ID.to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_device_authorization_url(url);
    let scope = || Scope::new(SCOPE.to_owned());
    Ok(Some(match http {
        Http::Blocking => {
            let agent = plain::agent(server, false)?;
            let send = move |request| send_blocking(&agent, request);
            Box::new(move || {
                let details = oauth2.exchange_device_code().add_scope(scope()).request(&send);
                let details: ::oauth2::StandardDeviceAuthorizationResponse = details.expect("the operation succeeds");
                black_box(details);
            })
        }
        Http::Async => {
            let (runtime, client) = (runtime()?, plain::client(server, false)?);
            let send = move |request| send(client.clone(), request);
            Box::new(move || {
                let details = oauth2.exchange_device_code().add_scope(scope()).request_async(&send);
                let details: ::oauth2::StandardDeviceAuthorizationResponse =
                    runtime.block_on(details).expect("the operation succeeds");
                black_box(details);
            })
        }
    }))
}

fn send_blocking(agent: &ureq::Agent, request: HttpRequest) -> std::result::Result<HttpResponse, ureq::Error> {
    let (parts, mut body) = agent.run(request)?.into_parts();
    Ok(HttpResponse::from_parts(parts, body.read_to_vec()?))
}

/// Sends a request as oauth2 wants it.
pub(crate) async fn send(client: reqwest::Client, request: HttpRequest) -> reqwest::Result<HttpResponse> {
    let mut response = client.execute(request.try_into()?).await?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut received = HttpResponse::new(response.bytes().await?.to_vec());
    *received.status_mut() = status;
    *received.headers_mut() = headers;
    Ok(received)
}
