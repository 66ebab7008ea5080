//! Signs in a device over reqwest alone.

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
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(login())
}

async fn login() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).ok_or("no address")?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .connect_timeout(Duration::from_secs(10))
        .build()?;
    let form = [("client_id", "my-client-id"), ("scope", "email profile")];
    let grant = client.post(format!("{base}/sso/oauth/approved/device")).form(&form).send().await?.text().await?;
    let grant: Grant = serde_json::from_str(&grant)?;
    println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
    let tokens: Tokens = loop {
        tokio::time::sleep(Duration::from_secs(grant.interval)).await;
        let form = [
            ("client_id", "my-client-id"),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &grant.device_code),
        ];
        let response = client.post(format!("{base}/sso/oauth/approved/access_token")).form(&form).send().await?;
        let is_success = response.status().is_success();
        let body = response.text().await?;
        if is_success {
            break serde_json::from_str(&body)?;
        }
        if !body.contains("authorization_pending") {
            return Err(body.into());
        }
    };
    println!("Signed in: {} letters", tokens.access_token.len());
    Ok(())
}
