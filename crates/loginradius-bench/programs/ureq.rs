//! Signs in a device over ureq alone.

use std::time::Duration;

use serde::Deserialize;

#[derive(Deserialize)]
struct Grant {
    device_code: String,
    user_code: String,
    verification_uri: String,
    interval: u64,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).ok_or("no address")?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .timeout_connect(Some(Duration::from_secs(10)))
        .build()
        .into();
    let form = [("client_id", "my-client-id"), ("scope", "email profile")];
    let grant = agent.post(format!("{base}/sso/oauth/approved/device")).send_form(form)?.body_mut().read_to_string()?;
    let grant: Grant = serde_json::from_str(&grant)?;
    println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
    let tokens: Tokens = loop {
        std::thread::sleep(Duration::from_secs(grant.interval));
        let form = [
            ("client_id", "my-client-id"),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &grant.device_code),
        ];
        let mut response = agent.post(format!("{base}/sso/oauth/approved/access_token")).send_form(form)?;
        let body = response.body_mut().read_to_string()?;
        if response.status().is_success() {
            break serde_json::from_str(&body)?;
        }
        if !body.contains("authorization_pending") {
            return Err(body.into());
        }
    };
    println!("Signed in: {} letters", tokens.access_token.len());
    Ok(())
}
