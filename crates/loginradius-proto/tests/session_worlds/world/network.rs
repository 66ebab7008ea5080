//! The network of a random world, and the words in which its server answers.

use http::Response;
use loginradius_proto::session::SessionInput;
use loginradius_proto::{Body, Error};

use super::super::books::{Outcome, Said};
use super::super::chance::{MINUTE, SECOND, Time};
use super::super::seat::{Answer, Asked, access_token, refresh_token};
use super::{Doing, World};

/// What comes back of a request.
pub(super) struct Arrived {
    pub(super) input: SessionInput,
    pub(super) outcome: Outcome,
    pub(super) answer: Answer,
}

/// A request on its way to the server.
pub(super) struct Flight {
    pub(super) request: usize,
    pub(super) arrives: Time,
    /// The answer does not come back whole.
    pub(super) answer_lost: bool,
}

impl World {
    /// A request leaves; what is known already of its end.
    pub(super) fn take_off(&mut self, request: usize) -> Option<(Time, Arrived)> {
        let fails = self.random.percent(self.weather.network);
        let kind = if fails { self.random.within(0, 9) } else { 10 };
        let lost = |at| Some((at, Arrived::new(Err(Error::lost("reset")), Outcome::Lost)));
        let up = self.random.pick(&[1, 20, 20, 80, 300]);
        let mut fly = |arrives, answer_lost| self.flights.push(Flight { request, arrives, answer_lost });
        match kind {
            0 => Some((self.now, Arrived::new(Err(Error::not_sent("refused")), Outcome::Harmless))),
            1 => lost(self.now + up),
            // The connection breaks, or nothing comes of it, and the request arrives all the same.
            2 => {
                fly(self.now + up, true);
                lost(self.now + up)
            }
            3 => {
                fly(self.now + up, true);
                None
            }
            // It arrives when nobody waits any more.
            4 => {
                fly(self.now + self.random.within(20 * SECOND, 2 * MINUTE), true);
                None
            }
            5 => {
                if self.random.percent(50) {
                    fly(self.now + up, true);
                }
                let status = self.random.pick(&[500, 502, 503, 504]);
                let body = self.random.pick(&["", "<html>", r#"{"error":"server_error"}"#, r#"{"ErrorCode":905}"#]);
                Some((self.now + up, Arrived::new(Ok(answer(status, body)), Outcome::Lost)))
            }
            6 => {
                let mut busy = answer(self.random.pick(&[429, 503]), "Too many requests");
                if self.random.percent(60) {
                    let wait = self.random.pick(&["0", "1", "5", "60", "4000"]);
                    busy.headers_mut().insert("retry-after", http::HeaderValue::from_static(wait));
                }
                Some((self.now + up, Arrived::new(Ok(busy), Outcome::Lost)))
            }
            7 => {
                let status = self.random.pick(&[200, 302, 403, 404]);
                Some((self.now + up, Arrived::new(Ok(answer(status, "<html><title>Sorry</title>")), Outcome::Lost)))
            }
            // A definite refusal that is not about the token.
            8 => {
                let body = r#"{"error":"invalid_client","error_description":"wrong secret"}"#;
                Some((self.now + up, Arrived::new(Ok(answer(401, body)), Outcome::Harmless)))
            }
            _ => {
                fly(self.now + up, false);
                None
            }
        }
    }

    pub(super) fn arrive(&mut self, flight: &Flight) {
        let request = flight.request;
        let lifetime = self.lifetime();
        let rotates = self.rotates && !self.random.percent(5);
        let said = self.books.arrive(request, self.now, lifetime, rotates);
        self.tell(|| format!("  request {request} arrives: {said:?}, answer lost: {}", flight.answer_lost));
        if flight.answer_lost {
            return;
        }
        let (sent, down) = (self.books.sent[request].clone(), self.random.pick(&[1, 20, 80, 300]));
        let arrived = self.words(said, sent.token);
        let waiting = self.processes.iter_mut().find(|place| place.number == sent.process);
        let Some(place) = waiting else { return };
        let seat = &place.seats[sent.name];
        let waits =
            seat.run.as_ref().is_some_and(|run| matches!(run.asked, Asked::Answer(asked, _) if asked == request));
        if let (true, Doing::Answer(answer @ None)) = (waits, &mut place.doing[sent.name]) {
            *answer = Some((self.now + down, arrived));
        }
    }

    /// What the server says, in one of its ways.
    fn words(&mut self, said: Said, sent: usize) -> Arrived {
        let Said::Pair { access, refresh } = said else {
            let (status, body) = match said {
                Said::Revoked => (200, ""),
                Said::Gone => self.random.pick(&[
                    (200, ""),
                    (
                        400,
                        r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#,
                    ),
                    (400, r#"{"error":"invalid_grant"}"#),
                ]),
                _ => self.random.pick(&[
                    (400, r#"{"error":"invalid_grant","error_description":""}"#),
                    (401, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
                    (200, r#"{"error":"invalid_grant"}"#),
                ]),
            };
            let mut arrived = Arrived::new(Ok(answer(status, body)), Outcome::Harmless);
            arrived.answer = if said == Said::Refused { Answer::Refused } else { Answer::Else };
            return arrived;
        };
        let lifetime = match self.books.accesses[access].lifetime {
            Some(lifetime) => format!(r#","expires_in":{}"#, lifetime / SECOND),
            None => self
                .random
                .pick(&["", r#","expires_in":0"#, r#","expires_in":1e30"#, r#","expires_in":null"#])
                .to_owned(),
        };
        let rotated = match refresh {
            Some(refresh) => format!(r#","refresh_token":"{}""#, refresh_token(refresh)),
            None => match self.random.within(0, 3) {
                0 => String::new(),
                1 => r#","refresh_token":null"#.to_owned(),
                2 => r#","refresh_token":"""#.to_owned(),
                _ => format!(r#","refresh_token":"{}""#, refresh_token(sent)),
            },
        };
        let whole = format!(r#"{{"access_token":"{}"{lifetime}{rotated}}}"#, access_token(access));
        let gained = refresh.map_or(Outcome::Harmless, Outcome::Gained);
        let (body, outcome, told) = match if self.healed { 39 } else { self.random.within(0, 39) } {
            0 | 1 if refresh.is_some() => {
                self.books.tally.faulty_answers += 1;
                let wrong = self.random.pick(&["5", "null", r#""""#]);
                (format!(r#"{{"access_token":{wrong}{lifetime}{rotated}}}"#), gained, Answer::Else)
            }
            2 => (whole[..whole.len() / 2].to_owned(), Outcome::Lost, Answer::Else),
            // The access token is good, and the next refresh token cannot be read.
            3 if refresh.is_some() => {
                let unreadable = self.random.pick(&["5", "{}", "[]"]);
                let body =
                    format!(r#"{{"access_token":"{}","refresh_token":{unreadable}{lifetime}}}"#, access_token(access));
                (body, Outcome::Lost, Answer::Access(access))
            }
            _ => (whole, gained, Answer::Access(access)),
        };
        let mut arrived = Arrived::new(Ok(answer(200, &body)), outcome);
        arrived.answer = told;
        arrived
    }
}

impl Arrived {
    fn new(input: Result<Response<Body>, Error>, outcome: Outcome) -> Self {
        Self { input: SessionInput::Answered(input), outcome, answer: Answer::Else }
    }
}

fn answer(status: u16, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body)).expect("an answer")
}
