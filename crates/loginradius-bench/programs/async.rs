//! Signs in a device over `loginradius-async`.

use loginradius_async::oauth::RequestDeviceCode;
use loginradius_async::{App, Client, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(login())
}

async fn login() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).ok_or("no address")?;
    let app = App::new("my-client-id").with_oauth_app("approved").with_service(Service::classic_at(&base)?);
    let client = Client::new(app)?;
    let request = RequestDeviceCode::new().scope("email profile");
    let login = client.device_login(&request, |grant| {
        println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
        Ok(())
    });
    let tokens = login.await?;
    println!("Signed in: {} letters", tokens.access_token.expose().len());
    Ok(())
}
