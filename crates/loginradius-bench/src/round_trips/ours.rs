use std::hint::black_box;

use loginradius_proto::{Endpoint, Service};

use super::client::{Http, install_crypto_provider, runtime};
use crate::Result;
use crate::canned_server::Address;
use crate::operations::{Caller, Operation, app, by_endpoint};

pub(super) fn prepare(http: Http, operation: Operation, server: &Address) -> Result<Option<Box<dyn FnMut()>>> {
    install_crypto_provider();
    let app = app().with_service(Service::classic_at(&server.url)?);
    let root = server.root_certificate()?;
    Ok(match http {
        Http::Blocking => {
            let mut builder = loginradius_blocking::Client::builder(app);
            if let Some(root) = root {
                builder = builder.root_certificates(root);
            }
            by_endpoint(operation, builder.build()?)
        }
        Http::Async => {
            let mut builder = loginradius_async::Client::builder(app);
            if let Some(root) = root {
                builder = builder.root_certificates(root);
            }
            by_endpoint(operation, InRuntime { runtime: runtime()?, client: builder.build()? })
        }
    })
}

impl Caller for loginradius_blocking::Client {
    fn prepare<E: Endpoint + 'static>(self, endpoint: E) -> Box<dyn FnMut()> {
        Box::new(move || {
            black_box(self.call(&endpoint).expect("the operation succeeds"));
        })
    }
}

struct InRuntime {
    runtime: tokio::runtime::Runtime,
    client: loginradius_async::Client,
}

impl Caller for InRuntime {
    fn prepare<E: Endpoint + 'static>(self, endpoint: E) -> Box<dyn FnMut()> {
        Box::new(move || {
            black_box(self.runtime.block_on(self.client.call(&endpoint)).expect("the operation succeeds"));
        })
    }
}
