//! The clients, apps and users of every emulator. All of them are invented.

use std::fmt;

/// The client of tests and demonstrations: LoginRadius's API key, OAuth's `client_id`.
pub const CLIENT_ID: &str = "de300000-0000-4000-8000-000000000001";
/// The secret of [`CLIENT_ID`]: LoginRadius's API secret, OAuth's `client_secret`.
pub const CLIENT_SECRET: &str = "de305ec2-0000-4000-8000-00000000fa4e";
/// A second client, to test that no client can use what belongs to another.
pub const OTHER_CLIENT_ID: &str = "de300000-0000-4000-8000-000000000002";
/// The secret of [`OTHER_CLIENT_ID`].
pub const OTHER_CLIENT_SECRET: &str = "de305ec2-0000-4000-8000-00000002fa4e";
/// The OAuth app, `OAuthName` in URLs. Both clients may use it.
pub const OAUTH_APP: &str = "demo-oauth-app";
/// The JWT app that signs with HS256, `jwtapp` in URLs. Both clients may use every JWT app.
pub const JWT_APP: &str = "demo-jwt-app";
/// The secret with which [`JWT_APP`] signs (HS256): a plain string, as in LoginRadius's guide "JWT".
pub const JWT_SECRET: &str = "demo-jwt-app-secret-that-protects-nothing";

/// The JWT apps, [`JWT_APP`] first: one for each algorithm of LoginRadius's "JWT Implementation Guide".
pub const JWT_APPS: &[JwtApp] = &[
    JwtApp::hmac(JWT_APP, JwtAlgorithm::Hs256, JWT_SECRET),
    JwtApp::hmac(
        "demo-jwt-app-hs384",
        JwtAlgorithm::Hs384,
        "demo-jwt-app-hs384-secret-that-protects-nothing-and-is-long-enough",
    ),
    JwtApp::hmac(
        "demo-jwt-app-hs512",
        JwtAlgorithm::Hs512,
        "demo-jwt-app-hs512-secret-that-protects-nothing-and-is-even-longer-than-needed",
    ),
    JwtApp::key_pair("demo-jwt-app-rs256", JwtAlgorithm::Rs256, include_str!("keys/rs256.public.pem")),
    JwtApp::key_pair("demo-jwt-app-rs384", JwtAlgorithm::Rs384, include_str!("keys/rs384.public.pem")),
    JwtApp::key_pair("demo-jwt-app-rs512", JwtAlgorithm::Rs512, include_str!("keys/rs512.public.pem")),
    JwtApp::key_pair("demo-jwt-app-es256", JwtAlgorithm::Es256, include_str!("keys/es256.public.pem")),
    JwtApp::key_pair("demo-jwt-app-es384", JwtAlgorithm::Es384, include_str!("keys/es384.public.pem")),
    JwtApp::key_pair("demo-jwt-app-es512", JwtAlgorithm::Es512, include_str!("keys/es512.public.pem")),
];

/// `client_id` and `client_secret` of each client.
pub(crate) const CLIENTS: [(&str, &str); 2] = [(CLIENT_ID, CLIENT_SECRET), (OTHER_CLIENT_ID, OTHER_CLIENT_SECRET)];

/// A user who can sign in. [`Emulator::approve`](crate::Emulator::approve) and
/// [`Emulator::authorize`](crate::Emulator::authorize) act as this user.
pub const ADA: User = User {
    uid: "0da00000000040008000000000000001",
    email: "ada@example.com",
    username: "ada",
    phone: "+15555550101",
    password: "ada-demo-password",
    first_name: "Ada",
    last_name: "Example",
    more_claims: "{}",
    standing: Standing::Good,
};

/// A second user who can sign in, whose JWTs have claims of every JSON type.
pub const GRACE: User = User {
    uid: "0da00000000040008000000000000002",
    email: "grace@example.com",
    username: "grace",
    phone: "+15555550102",
    password: "grace-demo-password",
    first_name: "Grace",
    last_name: "Sample",
    more_claims: r#"{
        "company": null,
        "roles": ["reader", "editor"],
        "address": { "country": "NZ", "postal_code": null },
        "score": 7.5,
        "newsletter": false
    }"#,
    standing: Standing::Good,
};

/// A user whose email address is not verified: LoginRadius code 970.
pub const UNVERIFIED: User = User {
    uid: "0da00000000040008000000000000003",
    email: "unverified@example.com",
    username: "unverified",
    phone: "+15555550103",
    password: "unverified-demo-password",
    first_name: "Una",
    last_name: "Verified",
    more_claims: "{}",
    standing: Standing::EmailNotVerified,
};

/// A user whom an administrator has blocked: LoginRadius code 991.
pub const BLOCKED: User = User {
    uid: "0da00000000040008000000000000004",
    email: "blocked@example.com",
    username: "blocked",
    phone: "+15555550104",
    password: "blocked-demo-password",
    first_name: "Blake",
    last_name: "Blocked",
    more_claims: "{}",
    standing: Standing::Blocked,
};

/// A user whose account is locked for some time: LoginRadius code 1198, as the "Customer Identity API" has it.
pub const LOCKED: User = User {
    uid: "0da00000000040008000000000000005",
    email: "locked@example.com",
    username: "locked",
    phone: "+15555550105",
    password: "locked-demo-password",
    first_name: "Lou",
    last_name: "Locked",
    more_claims: "{}",
    standing: Standing::Locked,
};

/// A user who needs a second factor: LoginRadius code 1176.
pub const SECOND_FACTOR: User = User {
    uid: "0da00000000040008000000000000006",
    email: "factor@example.com",
    username: "factor",
    phone: "+15555550106",
    password: "factor-demo-password",
    first_name: "Fay",
    last_name: "Factor",
    more_claims: "{}",
    standing: Standing::SecondFactor,
};

/// All users.
pub const USERS: &[User] = &[ADA, GRACE, UNVERIFIED, BLOCKED, LOCKED, SECOND_FACTOR];

/// A JWT app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtApp {
    /// Its name, `jwtapp` in URLs.
    pub name: &'static str,
    /// The algorithm of its signatures.
    pub algorithm: JwtAlgorithm,
    /// The secret of HS256, HS384 and HS512: a plain string, as in LoginRadius's guide "JWT".
    pub secret: Option<&'static str>,
    /// The public key of the other algorithms: SubjectPublicKeyInfo in PEM (RFC 7468, section 13).
    pub public_key_pem: Option<&'static str>,
}

impl JwtApp {
    const fn hmac(name: &'static str, algorithm: JwtAlgorithm, secret: &'static str) -> Self {
        Self { name, algorithm, secret: Some(secret), public_key_pem: None }
    }

    const fn key_pair(name: &'static str, algorithm: JwtAlgorithm, public_key_pem: &'static str) -> Self {
        Self { name, algorithm, secret: None, public_key_pem: Some(public_key_pem) }
    }
}

/// A signature algorithm of JWTs (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, with SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
}

impl JwtAlgorithm {
    /// Returns the `alg` of a JWT's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Returns the JWT app of this name.
#[must_use]
pub fn jwt_app(name: &str) -> Option<&'static JwtApp> {
    JWT_APPS.iter().find(|app| app.name == name)
}

/// A user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// LoginRadius's `Uid`, the `sub` of a JWT.
    pub uid: &'static str,
    /// The email address, which the user can sign in with.
    pub email: &'static str,
    /// The user name, which the user can sign in with.
    pub username: &'static str,
    /// The phone number, which the user can sign in with.
    pub phone: &'static str,
    /// The password.
    pub password: &'static str,
    /// The first name: the claim `firstname`.
    pub first_name: &'static str,
    /// The last name: the claim `lastname`.
    pub last_name: &'static str,
    /// More claims of the user's JWTs: a JSON object. LoginRadius maps profile fields of any JSON type to claims.
    pub more_claims: &'static str,
    /// Whether the user may sign in with the right password.
    pub standing: Standing,
}

/// Whether a user may sign in with the right password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The user may sign in.
    Good,
    /// The email address is not verified: LoginRadius code 970.
    EmailNotVerified,
    /// An administrator has blocked the user: LoginRadius code 991.
    Blocked,
    /// The account is locked: LoginRadius code 1198, with `Data.LoginLockedTimeout`.
    Locked,
    /// A second factor is required, which the emulator cannot ask for: LoginRadius code 1176.
    SecondFactor,
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Good => "works",
            Self::EmailNotVerified => "email not verified (970)",
            Self::Blocked => "blocked (991)",
            Self::Locked => "locked (1198)",
            Self::SecondFactor => "needs a second factor (1176)",
        })
    }
}

/// Finds a user by email address, user name or phone number.
pub(crate) fn user(identifier: &str) -> Option<&'static User> {
    USERS.iter().find(|user| {
        user.email.eq_ignore_ascii_case(identifier) || user.username == identifier || user.phone == identifier
    })
}
