//! The API's operations: which one a request is for, what goes wrong with it, and who does it.

use hyper::header;
use hyper::{Method, Response, StatusCode};

use crate::answer::Answer;
use crate::body::{Broken, Scripted};
use crate::client::{self, Secret};
use crate::fault::Fault;
use crate::params::{self, Params};
use crate::recorded::{Family, Operation};
use crate::refusal::{Refusal, Style};
use crate::request::Whole;
use crate::route::{Endpoint, Target};
use crate::server::{self, Shared};
use crate::state::State;
use crate::{device, jwt, oauth, pages};

/// A request to an address of the API: recorded, then answered, with whatever fault is set for its operation.
pub(crate) async fn answer(
    shared: &Shared,
    request: &Whole<'_>,
    target: &Target,
) -> Result<Response<Scripted>, Broken> {
    let (outcome, wait, date) = {
        let mut state = shared.lock();
        let mut recorded = request.recorded(state.clock.now());
        recorded.family = Some(target.family);
        let call = Call::read(&state, request, target);
        recorded.operation = call.operation;
        if let (Some(Operation::CodeExchange), Ok(params)) = (call.operation, &call.body) {
            // Here, since it has been sent whatever becomes of it.
            state.code_was_sent(params);
        }
        let fault = call.operation.map_or(Fault::None, |operation| state.faults.take(operation));
        recorded.fault = (fault != Fault::None).then(|| fault.clone());
        let number = state.record(recorded);

        let wait = match fault {
            Fault::Delay(time) => Some(time),
            _ => None,
        };
        let outcome = fault.around(|| call.act(&mut state));
        if let (Some((answer, _)), Some(recorded)) = (&outcome, state.recorded(number)) {
            recorded.status = Some(answer.status.as_u16());
        }
        (outcome, wait, state.clock.now())
    };
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    match outcome {
        Some((answer, body)) => Ok(server::respond(answer, body, date)),
        None => Err(Broken),
    }
}

/// A request whose parameters are read and whose operation is known, before anything is done.
struct Call<'a> {
    request: &'a Whole<'a>,
    target: &'a Target,
    method: Method,
    operation: Option<Operation>,
    query: Params,
    body: Result<Params, Refusal>,
}

impl<'a> Call<'a> {
    fn read(state: &State, request: &'a Whole<'a>, target: &'a Target) -> Self {
        // Requests for a JWT have JSON bodies only.
        let forms = target.endpoint != Endpoint::JwtLogin && !state.config.json_only;
        let format = params::body_format(request.headers, request.body);
        let body = match target.endpoint {
            Endpoint::JwtToken | Endpoint::Authorize | Endpoint::JwtRedirect => Ok(Params::default()),
            _ => params::body_params(format, request.body, forms),
        };
        let operation = match target.endpoint {
            Endpoint::DeviceCode => Some(Operation::DeviceCode),
            Endpoint::DeviceToken => Some(Operation::DeviceToken),
            Endpoint::Token => match &body {
                Ok(params) => oauth::operation(target.family, params),
                Err(_) => None,
            },
            Endpoint::Refresh => Some(Operation::Refresh),
            Endpoint::Revoke => Some(Operation::Revoke),
            Endpoint::JwtToken => Some(Operation::JwtToken),
            Endpoint::JwtLogin => Some(Operation::JwtLogin),
            Endpoint::Authorize => Some(Operation::Authorize),
            Endpoint::JwtRedirect => Some(Operation::JwtRedirect),
        };
        Self {
            request,
            target,
            method: request.method.clone(),
            operation: operation.filter(|_| *request.method == target.endpoint.method()),
            query: Params::from_query(request.query),
            body,
        }
    }

    fn act(self, state: &mut State) -> Answer {
        let expected = self.target.endpoint.method();
        if self.method != expected {
            // Methods are case-sensitive (RFC 9110, section 9.1), and LoginRadius's "Acceptable Use Policy" says that
            // lower-case ones are refused.
            return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n")
                .with(header::ALLOW, expected.as_str());
        }
        let style = self.style();
        self.try_act(state).unwrap_or_else(|refusal| refusal.answer(style))
    }

    fn style(&self) -> Style {
        let family = self.target.family;
        match (family, self.target.endpoint) {
            (_, Endpoint::JwtToken | Endpoint::JwtLogin) => Style::Service(family),
            (_, Endpoint::DeviceCode | Endpoint::DeviceToken) => Style::OAuth(family),
            (Family::Site, _) => Style::OAuth(family),
            (Family::Classic, _) => Style::Service(family),
        }
    }

    fn try_act(self, state: &mut State) -> Result<Answer, Refusal> {
        let family = self.target.family;
        let app = self.target.app.as_deref();
        let endpoint = self.target.endpoint;
        let body = self.body?;
        if let (Some(app), false) = (app, endpoint.has_its_parameters_in_the_query()) {
            // Who calls is looked at before what is called; each operation asks for its secret later.
            client::identify(&body, Secret::Optional)?;
            device::known_app(app)?;
        }
        match (endpoint, self.operation) {
            (Endpoint::DeviceCode, _) => device::request_code(state, app.unwrap_or_default(), &body),
            (Endpoint::DeviceToken, _) | (Endpoint::Token, Some(Operation::DeviceToken)) => {
                device::poll(state, family, app.unwrap_or_default(), &body)
            }
            (Endpoint::Token, Some(Operation::CodeExchange)) => oauth::exchange_code(state, family, &body),
            (Endpoint::Token, Some(Operation::Password)) => oauth::password(state, family, &body),
            (Endpoint::Refresh, _) | (Endpoint::Token, Some(Operation::Refresh)) => {
                oauth::refresh(state, family, &body)
            }
            (Endpoint::Token, _) => Err(oauth::no_operation(&body)),
            (Endpoint::Revoke, _) => oauth::revoke(state, family, &body),
            (Endpoint::JwtToken, _) => jwt::by_access_token(state, family, app, &self.query),
            (Endpoint::JwtLogin, _) => jwt::by_password(state, family, app, &self.query, &body),
            (Endpoint::Authorize | Endpoint::JwtRedirect, _) => {
                Ok(pages::sign_in::begin(state, self.request, self.target))
            }
        }
    }
}
