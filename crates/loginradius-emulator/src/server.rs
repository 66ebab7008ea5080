//! The HTTP server.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::body::{ConnectionClosed, ResponseBody};
use crate::request::Request;
use crate::response::Response;
use crate::state::Shared;
use crate::{api, origin, pages, route};

/// Requests are far smaller.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The time limit for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn serve(listener: TcpListener, shared: Shared) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, shared.clone()));
            }
            // Most likely there are no file descriptors left; some will be released.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Shared) {
    // Without this, a body that is sent one byte at a time waits for acknowledgements. If it fails, it is only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { respond(&shared, request).await }
    });
    // An error here means that the client closed the connection, or that a fault did.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Responds to a request. `Err` closes the connection without a response.
async fn respond(
    shared: &Shared,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<ResponseBody>, ConnectionClosed> {
    let (head, body) = request.into_parts();
    if !origin::is_our_host(&shared.lock().address, &head.headers, &head.uri) {
        // RFC 9110, section 15.5.20. If a foreign name resolved to this machine, that site's scripts could read the
        // responses (DNS rebinding).
        let response = Response::text(
            StatusCode::MISDIRECTED_REQUEST,
            "This emulator responds at 127.0.0.1, localhost and [::1] only.\n",
        );
        return Ok(finish(shared, response));
    }
    let read = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let response = Response::text(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long.\n")
                .with(header::CONNECTION, "close");
            return Ok(finish(shared, response));
        }
        Ok(Err(_)) | Err(_) => return Err(ConnectionClosed),
    };
    let request = Request {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
    };
    let target = route::find(request.path).filter(|_| !route::is_device_confirmation(request.path, request.query));
    match target {
        Some(target) => api::respond(shared, &request, &target).await,
        None if pages::has(request.path) => {
            let response = pages::respond(&mut shared.lock(), &request);
            Ok(finish(shared, response))
        }
        None => {
            let mut response = Response::text(StatusCode::NOT_FOUND, "There is nothing here.\n");
            if route::is_api(request.path) {
                let mut state = shared.lock();
                let mut recorded = request.recorded(state.clock.now());
                recorded.status = Some(response.status.as_u16());
                state.requests.record(recorded);
            } else {
                response = pages::not_found();
            }
            Ok(finish(shared, response))
        }
    }
}

fn finish(shared: &Shared, response: Response) -> hyper::Response<ResponseBody> {
    let body = ResponseBody::complete(response.body.clone());
    response.into_http(body, shared.lock().clock.now())
}
