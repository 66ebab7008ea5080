//! Signs in a device over `loginradius-blocking`.

use loginradius_blocking::oauth::RequestDeviceCode;
use loginradius_blocking::{App, Client, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).ok_or("no address")?;
    let app = App::new("my-client-id").with_oauth_app("approved").with_service(Service::classic_at(&base)?);
    let tokens = Client::new(app)?.device_login(&RequestDeviceCode::new().scope("email profile"), |grant| {
        println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
        Ok(())
    })?;
    println!("Signed in: {} letters", tokens.access_token.expose().len());
    Ok(())
}
