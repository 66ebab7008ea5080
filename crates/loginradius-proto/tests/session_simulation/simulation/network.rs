//! The network of a random run, and the forms in which its server responds.

use http::Response;
use loginradius_proto::session::SessionInput;
use loginradius_proto::{Body, Error};

use super::super::oracle::{Outcome, Reply};
use super::super::participant::{Meaning, PendingStep, access_token_text, refresh_token_text};
use super::super::rng::{MINUTE, SECOND, Time};
use super::{Phase, Simulation};

/// What a process gets for its request.
pub(super) struct Delivery {
    pub(super) input: SessionInput,
    pub(super) outcome: Outcome,
    pub(super) meaning: Meaning,
}

/// A request on its way to the server.
pub(super) struct InFlight {
    request: usize,
    pub(super) arrives: Time,
    response_lost: bool,
}

impl Simulation {
    /// Sends a request; returns what its process gets, and when, if that does not depend on the server.
    pub(super) fn transmit(&mut self, request: usize) -> Option<(Time, Delivery)> {
        let fails = self.rng.percent(self.fault_rates.network);
        let kind = if fails { self.rng.within(0, 9) } else { 10 };
        let latency = self.rng.pick(&[1, 20, 20, 80, 300]);
        let at = self.now + latency;
        let unknown = |response| Some((at, Delivery::new(response, Outcome::Unknown)));
        let mut fly = |arrives, response_lost| self.in_flight.push(InFlight { request, arrives, response_lost });
        match kind {
            0 => Some((self.now, Delivery::new(Err(Error::not_sent("refused")), Outcome::NotConsumed))),
            1 => unknown(Err(Error::outcome_unknown("reset"))),
            // The connection breaks or hangs, and the request arrives nevertheless.
            2 => {
                fly(at, true);
                unknown(Err(Error::outcome_unknown("reset")))
            }
            3 => {
                fly(at, true);
                None
            }
            // It arrives after its process may have given up.
            4 => {
                fly(self.now + self.rng.within(20 * SECOND, 2 * MINUTE), true);
                None
            }
            5 => {
                if self.rng.percent(50) {
                    fly(at, true);
                }
                let status = self.rng.pick(&[500, 502, 503, 504]);
                let body = self.rng.pick(&["", "<html>", r#"{"error":"server_error"}"#, r#"{"ErrorCode":905}"#]);
                unknown(Ok(response(status, body)))
            }
            6 => {
                let mut busy = response(self.rng.pick(&[429, 503]), "Too many requests");
                if self.rng.percent(60) {
                    let wait = self.rng.pick(&["0", "1", "5", "60", "4000"]);
                    busy.headers_mut().insert("retry-after", http::HeaderValue::from_static(wait));
                }
                unknown(Ok(busy))
            }
            7 => {
                let status = self.rng.pick(&[200, 302, 403, 404]);
                unknown(Ok(response(status, "<html><title>Sorry</title>")))
            }
            // The server refuses the request, and not because of the token.
            8 => {
                let body = r#"{"error":"invalid_client","error_description":"wrong secret"}"#;
                Some((at, Delivery::new(Ok(response(401, body)), Outcome::NotConsumed)))
            }
            _ => {
                fly(at, false);
                None
            }
        }
    }

    /// Lets a request reach the server, and schedules the response if its process still waits.
    pub(super) fn arrive(&mut self, in_flight: &InFlight) {
        let &InFlight { request, response_lost, .. } = in_flight;
        let lifetime = self.random_lifetime();
        let rotates = self.server_rotates && !self.rng.percent(5);
        let reply = self.oracle.arrive(request, self.now, lifetime, rotates);
        self.log(|| format!("  request {request} arrives: {reply:?}, response lost: {response_lost}"));
        if response_lost {
            return;
        }
        let (sent, latency) = (self.oracle.requests[request].clone(), self.rng.pick(&[1, 20, 80, 300]));
        let delivery = self.encode(reply, sent.refresh_token);
        let Some(process) = self.processes.iter_mut().find(|process| process.number == sent.process) else { return };
        let running = process.participants[sent.name].running.as_ref();
        let waits = running.is_some_and(
            |running| matches!(running.pending, PendingStep::Response { request: pending, .. } if pending == request),
        );
        if let (true, Phase::AwaitingResponse(scheduled @ None)) = (waits, &mut process.phases[sent.name]) {
            *scheduled = Some((self.now + latency, delivery));
        }
    }

    /// Makes a response of what the server replies, in one of its forms.
    fn encode(&mut self, reply: Reply, sent: usize) -> Delivery {
        let Reply::Pair { access_token, refresh_token } = reply else { return self.encode_end(reply) };
        let lifetime = match self.oracle.access_tokens[access_token].lifetime {
            Some(lifetime) => format!(r#","expires_in":{}"#, lifetime / SECOND),
            None => {
                self.rng.pick(&["", r#","expires_in":"""#, r#","expires_in":1e30"#, r#","expires_in":null"#]).to_owned()
            }
        };
        let rotated = match refresh_token {
            Some(refresh_token) => format!(r#","refresh_token":"{}""#, refresh_token_text(refresh_token)),
            None => match self.rng.within(0, 3) {
                0 => String::new(),
                1 => r#","refresh_token":null"#.to_owned(),
                2 => r#","refresh_token":"""#.to_owned(),
                _ => format!(r#","refresh_token":"{}""#, refresh_token_text(sent)),
            },
        };
        let access_text = access_token_text(access_token);
        let complete = format!(r#"{{"access_token":"{access_text}"{lifetime}{rotated}}}"#);
        let rotation = refresh_token.map_or(Outcome::NotConsumed, Outcome::Unsaved);
        let fault = if self.faults_ended { 39 } else { self.rng.within(0, 39) };
        let (body, outcome, meaning) = match fault {
            // The access token cannot be read.
            0 | 1 if refresh_token.is_some() => {
                self.oracle.coverage.faulty_responses += 1;
                let unreadable = self.rng.pick(&["5", "null", r#""""#]);
                (format!(r#"{{"access_token":{unreadable}{lifetime}{rotated}}}"#), rotation, Meaning::Other)
            }
            2 => (complete[..complete.len() / 2].to_owned(), Outcome::Unknown, Meaning::Other),
            // The next refresh token cannot be read.
            3 if refresh_token.is_some() => {
                let unreadable = self.rng.pick(&["5", "{}", "[]"]);
                let body = format!(r#"{{"access_token":"{access_text}","refresh_token":{unreadable}{lifetime}}}"#);
                (body, Outcome::Unknown, Meaning::NewAccessToken(access_token))
            }
            _ => (complete, rotation, Meaning::NewAccessToken(access_token)),
        };
        Delivery { meaning, ..Delivery::new(Ok(response(200, &body)), outcome) }
    }

    /// Makes a response that has no tokens.
    fn encode_end(&mut self, reply: Reply) -> Delivery {
        let (status, body) = match reply {
            Reply::Revoked => (200, ""),
            Reply::NothingToRevoke => self.rng.pick(&[
                (200, ""),
                (400, r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#),
                (400, r#"{"error":"invalid_grant"}"#),
            ]),
            _ => self.rng.pick(&[
                (400, r#"{"error":"invalid_grant","error_description":""}"#),
                (401, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
                (200, r#"{"error":"invalid_grant"}"#),
            ]),
        };
        let meaning = if reply == Reply::Rejected { Meaning::Rejected } else { Meaning::Other };
        Delivery { meaning, ..Delivery::new(Ok(response(status, body)), Outcome::NotConsumed) }
    }
}

impl Delivery {
    fn new(response: Result<Response<Body>, Error>, outcome: Outcome) -> Self {
        Self { input: SessionInput::Responded(response), outcome, meaning: Meaning::Other }
    }
}

fn response(status: u16, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body)).expect("a response")
}
