//! From a connection to an answer.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::Answer;
use crate::body::{Broken, Scripted};
use crate::request::Whole;
use crate::state::Shared;
use crate::{api, pages, route};

/// Requests are far smaller.
const MOST_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

pub(crate) async fn serve(listener: TcpListener, shared: Shared) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, shared.clone()));
            }
            // Out of file descriptors, most likely: some will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Shared) {
    // Without it, a body that is sent a byte at a time waits for acknowledgements. If it fails, it is just slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { answer(&shared, request).await }
    });
    // An error here is a client that went away, or a fault that closed the connection.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// `Err` closes the connection without an answer.
async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Scripted>, Broken> {
    let (head, body) = request.into_parts();
    if !pages::guard::is_our_host(&shared.lock().address, &head.headers, &head.uri) {
        // RFC 9110, section 15.5.20. A foreign name that resolves to this machine would let that site's scripts
        // read the answers (DNS rebinding).
        let answer = Answer::text(
            StatusCode::MISDIRECTED_REQUEST,
            "This emulator answers to 127.0.0.1, localhost and [::1] only.\n",
        );
        return Ok(finish(shared, answer));
    }
    let read = Limited::new(body, MOST_BODY).collect();
    let body = match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let answer = Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long.\n")
                .with(header::CONNECTION, "close");
            return Ok(finish(shared, answer));
        }
        Ok(Err(_)) | Err(_) => return Err(Broken),
    };
    let request = Whole {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
    };
    let target = route::find(request.path).filter(|_| !route::is_device_confirmation(request.path, request.query));
    match target {
        Some(target) => api::answer(shared, &request, &target).await,
        None if pages::has(request.path) => {
            let answer = pages::answer(&mut shared.lock(), &request);
            Ok(finish(shared, answer))
        }
        None => {
            let mut answer = Answer::text(StatusCode::NOT_FOUND, "There is nothing here.\n");
            if route::is_api(request.path) {
                let mut state = shared.lock();
                let mut recorded = request.recorded(state.clock.now());
                recorded.status = Some(answer.status.as_u16());
                state.requests.record(recorded);
            } else {
                answer = pages::not_found();
            }
            Ok(finish(shared, answer))
        }
    }
}

fn finish(shared: &Shared, answer: Answer) -> Response<Scripted> {
    let body = Scripted::whole(answer.body.clone());
    answer.respond(body, shared.lock().clock.now())
}
