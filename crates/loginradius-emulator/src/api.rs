//! LoginRadius's operations: finds the one that is requested, applies its fault, and performs it.

use hyper::header;
use hyper::{Method, StatusCode};

use crate::body::{ConnectionClosed, ResponseBody};
use crate::client::{self, Basic, Secret};
use crate::fault::Fault;
use crate::operation::{Api, Operation};
use crate::params::{self, Params};
use crate::refusal::{Refusal, Style};
use crate::request::Request;
use crate::response::Response;
use crate::route::{Endpoint, Target};
use crate::state::{Shared, State};
use crate::{device, identity, jwt, oauth, pages};

/// Records a request, performs its operation with the fault that is set for it, and responds.
pub(crate) async fn respond(
    shared: &Shared,
    request: &Request<'_>,
    target: &Target,
) -> Result<hyper::Response<ResponseBody>, ConnectionClosed> {
    let (outcome, wait, date) = {
        let mut state = shared.lock();
        let mut recorded = request.recorded(state.clock.now());
        recorded.api = (!target.endpoint.is_identity()).then_some(target.api);
        let call = Call::read(&state, request, target);
        recorded.operation = call.operation;
        if let (Some(Operation::CodeExchange), Ok(params)) = (call.operation, &call.body) {
            // Counted before the fault, since the code has been sent whatever happens next.
            state.codes.count_sent(params);
        }
        let fault = call.operation.map_or(Fault::None, |operation| state.faults.take(operation));
        recorded.fault = (fault != Fault::None).then(|| fault.clone());
        let number = state.requests.record(recorded);

        let wait = match fault {
            Fault::Delay(time) => Some(time),
            _ => None,
        };
        let outcome = fault.apply(|| call.act(&mut state));
        if let (Some((response, _)), Some(recorded)) = (&outcome, state.requests.get_mut(number)) {
            recorded.status = Some(response.status.as_u16());
        }
        (outcome, wait, state.clock.now())
    };
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    match outcome {
        Some((response, body)) => Ok(response.into_http(body, date)),
        None => Err(ConnectionClosed),
    }
}

/// A request whose parameters and operation have been read.
struct Call<'a> {
    request: &'a Request<'a>,
    target: &'a Target,
    method: Method,
    operation: Option<Operation>,
    query: Params,
    body: Result<Params, Refusal>,
}

impl<'a> Call<'a> {
    fn read(state: &State, request: &'a Request<'a>, target: &'a Target) -> Self {
        // The JWT operations take JSON only.
        let forms = target.endpoint != Endpoint::JwtLogin && !state.config.json_only;
        let format = params::body_format(request.headers, request.body);
        let body = match target.endpoint {
            Endpoint::JwtToken | Endpoint::Authorize | Endpoint::JwtRedirect | Endpoint::Profile => {
                Ok(Params::default())
            }
            _ => params::body_params(format, request.body, forms),
        };
        let operation = match target.endpoint {
            Endpoint::DeviceCode => Some(Operation::DeviceCode),
            Endpoint::DeviceToken => Some(Operation::DeviceToken),
            Endpoint::Token => match &body {
                Ok(params) => token_operation(target.api, params),
                Err(_) => None,
            },
            Endpoint::Refresh => Some(Operation::Refresh),
            Endpoint::Revoke => Some(Operation::Revoke),
            Endpoint::JwtToken => Some(Operation::JwtToken),
            Endpoint::JwtLogin => Some(Operation::JwtLogin),
            Endpoint::Authorize => Some(Operation::Authorize),
            Endpoint::JwtRedirect => Some(Operation::JwtRedirect),
            Endpoint::Profile => Some(Operation::Profile),
            Endpoint::AddEmail => Some(Operation::AddEmail),
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

    fn act(self, state: &mut State) -> Response {
        let expected = self.target.endpoint.method();
        if self.method != expected {
            // Methods are case-sensitive (RFC 9110, section 9.1), and LoginRadius's "Acceptable Use Policy" says that
            // lower-case ones are refused.
            return Response::text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n")
                .with(header::ALLOW, expected.as_str());
        }
        let style = self.style();
        let by_header = self.takes_basic() && Basic::read(self.request.headers).is_some();
        let response = self.try_act(state).unwrap_or_else(|refusal| refusal.to_response(style));
        if by_header && response.status == StatusCode::UNAUTHORIZED {
            // RFC 6749, section 5.2.
            return response.with(header::WWW_AUTHENTICATE, "Basic realm=\"loginradius\"");
        }
        response
    }

    /// Returns whether the client may authenticate by HTTP Basic. LoginRadius's pages about these operations do not
    /// mention it, but the metadata of the site's authorization server lists `client_secret_basic`. The classic URLs
    /// read the body only.
    fn takes_basic(&self) -> bool {
        self.target.api == Api::Site && matches!(self.target.endpoint, Endpoint::Token | Endpoint::Revoke)
    }

    fn style(&self) -> Style {
        let api = self.target.api;
        match (api, self.target.endpoint) {
            (_, Endpoint::JwtToken | Endpoint::JwtLogin) => Style::Service(api),
            (_, Endpoint::Profile | Endpoint::AddEmail) => Style::Identity,
            (_, Endpoint::DeviceCode | Endpoint::DeviceToken) => Style::OAuth(api),
            (Api::Site, _) => Style::OAuth(api),
            (Api::Classic, _) => Style::Service(api),
        }
    }

    fn try_act(self, state: &mut State) -> Result<Response, Refusal> {
        let api = self.target.api;
        let app = self.target.app.as_deref();
        let endpoint = self.target.endpoint;
        let takes_basic = self.takes_basic();
        let mut body = self.body?;
        if takes_basic && let Some(basic) = Basic::read(self.request.headers) {
            body = basic?.add_to(body)?;
        }
        if let (Some(app), false) = (app, endpoint.identifies_client_in_query()) {
            // The client is checked before the app; each operation checks the secret later.
            client::identify(&body, Secret::Optional)?;
            device::known_app(app)?;
        }
        match (endpoint, self.operation) {
            (Endpoint::DeviceCode, _) => device::request_code(state, app.unwrap_or_default(), &body),
            (Endpoint::DeviceToken, _) | (Endpoint::Token, Some(Operation::DeviceToken)) => {
                device::poll(state, api, app.unwrap_or_default(), &body)
            }
            (Endpoint::Token, Some(Operation::CodeExchange)) => oauth::exchange_code(state, api, &body),
            (Endpoint::Token, Some(Operation::Password)) => oauth::password(state, api, &body),
            (Endpoint::Refresh, _) | (Endpoint::Token, Some(Operation::Refresh)) => oauth::refresh(state, api, &body),
            (Endpoint::Token, _) => Err(no_token_operation(&body)),
            (Endpoint::Revoke, _) => oauth::revoke(state, api, &body),
            (Endpoint::JwtToken, _) => jwt::by_access_token(state, api, app, &self.query),
            (Endpoint::JwtLogin, _) => jwt::by_password(state, api, app, &self.query, &body),
            (Endpoint::Profile, _) => identity::profile(state, self.request.headers, &self.query),
            (Endpoint::AddEmail, _) => identity::add_email(state, self.request.headers, &self.query, &body),
            (Endpoint::Authorize | Endpoint::JwtRedirect, _) => {
                Ok(pages::login::begin(state, self.request, self.target))
            }
        }
    }
}

/// Returns what a request to a token URL asks for. The site API has one URL for all, so `grant_type` decides (RFC 6749,
/// section 3.2). The classic API takes a code if `grant_type` is missing, since LoginRadius's table for codes does not
/// list it.
fn token_operation(api: Api, params: &Params) -> Option<Operation> {
    match (api, params.optional("grant_type").ok()?) {
        (Api::Classic, None | Some("authorization_code")) => Some(Operation::CodeExchange),
        (_, Some("password")) => Some(Operation::Password),
        (Api::Site, Some("authorization_code")) => Some(Operation::CodeExchange),
        (Api::Site, Some("refresh_token")) => Some(Operation::Refresh),
        (Api::Site, Some(device::GRANT_TYPE)) => Some(Operation::DeviceToken),
        _ => None,
    }
}

/// Returns the refusal of a request whose [`token_operation`] is `None`.
fn no_token_operation(params: &Params) -> Refusal {
    if let Err(refusal) = client::identify(params, Secret::Optional) {
        return refusal;
    }
    match params.required("grant_type") {
        Ok(_) => Refusal::GrantTypeInvalid,
        Err(refusal) => refusal,
    }
}
