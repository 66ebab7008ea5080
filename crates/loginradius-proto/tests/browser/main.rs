//! The rules of signing in through a browser, one by one: the addresses that are opened, the callbacks that come
//! back, what is stored in between, and the receiver on this machine.

mod address;
mod callback;
mod fixtures;
mod jwt;
mod loopback;
mod pending;
mod properties;
mod redirect_address;
mod refusal;
mod stored;
