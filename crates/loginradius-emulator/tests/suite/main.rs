//! The emulator over real connections.

mod authorize;
mod basic;
mod browser;
mod codes;
mod device;
mod faults;
mod http;
mod identity;
mod jwt;
mod jwt_browser;
mod jwt_keys;
mod logins;
mod pages;
mod redirects;
mod refusals;
mod serving;
mod tokens;
