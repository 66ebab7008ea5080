use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::client::{Http, install_crypto_provider, runtime, takes_fresh_connection};
use crate::Result;
use crate::canned_server::Address;
use crate::operations::{Floor, Operation};

// As the builders of our clients have them.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn prepare(http: Http, operation: Operation, server: &Address) -> Result<Box<dyn FnMut()>> {
    let floor = Floor::new(operation, &server.url);
    let fresh = takes_fresh_connection(operation);
    Ok(match http {
        Http::Blocking => {
            let agent = agent(server, fresh)?;
            Box::new(move || floor.read(&blocking(&agent, &floor)))
        }
        Http::Async => {
            let (runtime, client) = (runtime()?, client(server, fresh)?);
            Box::new(move || floor.read(&runtime.block_on(asynchronous(&client, &floor))))
        }
    })
}

fn blocking(agent: &ureq::Agent, floor: &Floor) -> String {
    let request = floor.request();
    let response = match *request.method() {
        Method::GET => agent.run(request.map(|_| ())),
        _ => agent.run(request),
    };
    let mut response = response.expect("a response");
    black_box(response.status().is_success());
    response.body_mut().read_to_string().expect("a whole body")
}

async fn asynchronous(client: &reqwest::Client, floor: &Floor) -> String {
    let request = floor.request().try_into().expect("a URL");
    let response = client.execute(request).await.expect("a response");
    black_box(response.status().is_success());
    response.text().await.expect("a whole body")
}

/// Makes the agent that a careful user of ureq would make.
pub(super) fn agent(server: &Address, fresh: bool) -> Result<ureq::Agent> {
    install_crypto_provider();
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(format!("loginradius-blocking/{}", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_global(Some(TIMEOUT))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT));
    if fresh {
        // By default they have 128 KiB each, and zeroing them would be most of the instructions.
        config = config.max_idle_age(Duration::ZERO).input_buffer_size(4 << 10).output_buffer_size(1 << 10);
    }
    if let Some(root) = server.root_certificate()? {
        let root = RootCerts::Specific(Arc::new(vec![Certificate::from_pem(&root)?]));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        config = config
            .tls_config(TlsConfig::builder().root_certs(root).unversioned_rustls_crypto_provider(provider).build());
    }
    Ok(config.build().into())
}

/// Makes the client that a careful user of reqwest would make.
pub(crate) fn client(server: &Address, fresh: bool) -> Result<reqwest::Client> {
    install_crypto_provider();
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(format!("loginradius-async/{}", env!("CARGO_PKG_VERSION")))
        .default_headers(
            [(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("identity"))].into_iter().collect(),
        )
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT);
    if fresh {
        builder = builder.pool_max_idle_per_host(0);
    }
    let root = server.root_certificate()?;
    let roots = root.map(|root| reqwest::Certificate::from_pem(&root)).transpose()?;
    Ok(builder.tls_certs_only(roots).build()?)
}
