//! The rules of sessions, one by one, with made-up instants: a store, a server and two clocks that do what
//! a test says, and the steps of each flow in their order.

mod attacks;
mod cached_token;
mod failures;
mod loading;
mod misuse;
mod peeking;
mod refresh;
mod rejected;
mod saving;
mod sign_out;
mod start;
