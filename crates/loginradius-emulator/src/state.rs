//! What the emulator knows: grants, codes, sign-ins, browsers, and what it was asked.

use std::collections::VecDeque;
use std::io;

use crate::authorization_code::AuthorizationCode;
use crate::bounded::Bounded;
use crate::builder::Config;
use crate::clock::Clock;
use crate::device::Grant;
use crate::fault::Faults;
use crate::pages::browser::Browsers;
use crate::pages::tickets::Tickets;
use crate::random::Random;
use crate::recorded::Recorded;
use crate::seeded;
use crate::tokens::{SignIn, Tokens};

/// How many of each thing are kept.
pub(crate) const KEPT: usize = 10_000;

pub(crate) struct State {
    pub(crate) config: Config,
    /// `http://127.0.0.1:<port>`.
    pub(crate) base_url: String,
    pub(crate) port: u16,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// By device code.
    pub(crate) grants: Bounded<Grant>,
    /// Device codes by user code. One is added for each of `grants`, so both forget the same.
    pub(crate) device_codes: Bounded<String>,
    /// By authorization code.
    pub(crate) codes: Bounded<AuthorizationCode>,
    /// By their id.
    pub(crate) sign_ins: Bounded<SignIn>,
    pub(crate) tokens: Tokens,
    pub(crate) browsers: Browsers,
    pub(crate) tickets: Tickets,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    requests: VecDeque<(u64, Recorded)>,
    request_number: u64,
}

/// How often things happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Device codes given out.
    pub device_codes: u64,
    /// Polls answered `slow_down`.
    pub slow_downs: u64,
    /// Sign-ins: device grants, codes and passwords that became tokens, browsers that were given one, and those of
    /// [`Emulator::sign_in`](crate::Emulator::sign_in).
    pub sign_ins: u64,
    /// Refreshes that were answered with tokens, `graced` included.
    pub refreshes: u64,
    /// Spent refresh tokens that were sent again in their [grace period](crate::Builder::refresh_grace).
    pub graced: u64,
    /// Spent refresh tokens that were sent again later than that; each ends its sign-in.
    pub replays: u64,
    /// Refresh tokens revoked.
    pub revocations: u64,
    /// JWTs signed for somebody who has signed in.
    pub jwts: u64,
    /// Authorization codes issued.
    pub codes: u64,
    /// Authorization codes that were sent again after they had become tokens; each ends its sign-in.
    pub code_replays: u64,
}

impl State {
    pub(crate) fn new(config: Config, port: u16) -> io::Result<Self> {
        Ok(Self {
            clock: Clock::new(config.manual_clock),
            config,
            base_url: format!("http://127.0.0.1:{port}"),
            port,
            random: Random::new()?,
            grants: Bounded::new(KEPT),
            device_codes: Bounded::new(KEPT),
            codes: Bounded::new(KEPT),
            sign_ins: Bounded::new(KEPT),
            tokens: Tokens::new(),
            browsers: Browsers::new(),
            tickets: Tickets::new(),
            faults: Faults::default(),
            counters: Counters::default(),
            requests: VecDeque::new(),
            request_number: 0,
        })
    }

    /// The address that people and JWTs see, without a slash at its end.
    pub(crate) fn public_url(&self) -> &str {
        self.config.public_url.as_deref().unwrap_or(&self.base_url)
    }

    /// Who answers an authorization (RFC 9207), in the form that LoginRadius's page "Access Token Claims" shows.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/service/oauth/{}", self.public_url(), seeded::OAUTH_APP)
    }

    pub(crate) fn record(&mut self, request: Recorded) -> u64 {
        self.request_number += 1;
        self.requests.push_back((self.request_number, request));
        if self.requests.len() > KEPT {
            self.requests.pop_front();
        }
        self.request_number
    }

    /// The request of that number, unless it has been cleared meanwhile.
    pub(crate) fn recorded(&mut self, number: u64) -> Option<&mut Recorded> {
        self.requests.iter_mut().rev().find(|(other, _)| *other == number).map(|(_, request)| request)
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(crate) fn clear_requests(&mut self) {
        self.requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::BodyFormat;

    #[test]
    fn the_last_requests_are_kept() {
        let mut state = State::new(Config::default(), 0).unwrap();
        let request = Recorded {
            method: "GET".to_owned(),
            path: String::new(),
            operation: None,
            family: None,
            params: Vec::new(),
            body_format: BodyFormat::None,
            content_type: None,
            accept: None,
            user_agent: None,
            client_id: None,
            at: state.clock.now(),
            status: None,
            fault: None,
        };
        for number in 0..=KEPT {
            state.record(Recorded { path: number.to_string(), ..request.clone() });
        }
        let kept = state.requests();
        assert_eq!((kept.len(), kept[0].path.as_str(), kept[KEPT - 1].path.as_str()), (KEPT, "1", "10000"));
    }
}
