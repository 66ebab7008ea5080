//! What exists in every emulator: clients, applications and users. All of it is invented.

use std::fmt;

/// The client that tests and demonstrations use: LoginRadius's API key, OAuth's `client_id`.
pub const CLIENT_ID: &str = "de300000-0000-4000-8000-000000000001";
/// The secret of [`CLIENT_ID`]: LoginRadius's API secret, OAuth's `client_secret`.
pub const CLIENT_SECRET: &str = "de305ec2-0000-4000-8000-00000000fa4e";
/// A second client, to see that nothing of one client can be used by another.
pub const OTHER_CLIENT_ID: &str = "de300000-0000-4000-8000-000000000002";
/// The secret of [`OTHER_CLIENT_ID`].
pub const OTHER_CLIENT_SECRET: &str = "de305ec2-0000-4000-8000-00000002fa4e";
/// The one OAuth application; the `OAuthName` of an address. Both clients may use it.
pub const OAUTH_APP: &str = "demo-oauth-app";
/// The one JWT application: `jwtapp`. Both clients may use it.
pub const JWT_APP: &str = "demo-jwt-app";
/// The secret with which [`JWT_APP`] signs its JWTs (HS256), a plain string as LoginRadius's guide "JWT" has it.
pub const JWT_SECRET: &str = "demo-jwt-app-secret-that-protects-nothing";

/// `client_id` and `client_secret` of every client.
pub(crate) const CLIENTS: [(&str, &str); 2] = [(CLIENT_ID, CLIENT_SECRET), (OTHER_CLIENT_ID, OTHER_CLIENT_SECRET)];

/// A user who can sign in. [`Emulator::approve`](crate::Emulator::approve) acts for her.
pub const ADA: User = User {
    uid: "0da00000000040008000000000000001",
    email: "ada@example.com",
    username: "ada",
    phone: "+15555550101",
    password: "ada-demo-password",
    first_name: "Ada",
    last_name: "Example",
    standing: Standing::Good,
};

/// A second user who can sign in.
pub const GRACE: User = User {
    uid: "0da00000000040008000000000000002",
    email: "grace@example.com",
    username: "grace",
    phone: "+15555550102",
    password: "grace-demo-password",
    first_name: "Grace",
    last_name: "Sample",
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
    standing: Standing::EmailNotVerified,
};

/// A user whom the administrator has blocked: LoginRadius code 991.
pub const BLOCKED: User = User {
    uid: "0da00000000040008000000000000004",
    email: "blocked@example.com",
    username: "blocked",
    phone: "+15555550104",
    password: "blocked-demo-password",
    first_name: "Blake",
    last_name: "Blocked",
    standing: Standing::Blocked,
};

/// A user whose account is locked for some time: LoginRadius code 1198 in its identity API's meaning.
pub const LOCKED: User = User {
    uid: "0da00000000040008000000000000005",
    email: "locked@example.com",
    username: "locked",
    phone: "+15555550105",
    password: "locked-demo-password",
    first_name: "Lou",
    last_name: "Locked",
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
    standing: Standing::SecondFactor,
};

/// Every user.
pub const USERS: &[User] = &[ADA, GRACE, UNVERIFIED, BLOCKED, LOCKED, SECOND_FACTOR];

/// A seeded user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// LoginRadius's `Uid`, the `sub` of a JWT.
    pub uid: &'static str,
    /// The email address; signs in.
    pub email: &'static str,
    /// The user name; signs in.
    pub username: &'static str,
    /// The phone number; signs in.
    pub phone: &'static str,
    /// The password.
    pub password: &'static str,
    /// The claim `firstname`.
    pub first_name: &'static str,
    /// The claim `lastname`.
    pub last_name: &'static str,
    /// Whether a sign-in with the right password is let through.
    pub standing: Standing,
}

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nothing is in the way.
    Good,
    /// LoginRadius code 970.
    EmailNotVerified,
    /// LoginRadius code 991.
    Blocked,
    /// LoginRadius code 1198, with `Data.LoginLockedTimeout`.
    Locked,
    /// LoginRadius code 1176.
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

/// The user whose email address, user name or phone number this is.
pub(crate) fn user(login: &str) -> Option<&'static User> {
    USERS.iter().find(|user| user.email.eq_ignore_ascii_case(login) || user.username == login || user.phone == login)
}
