//! The rules of sessions, one by one, with made-up instants: a store, a server and two clocks that do what
//! a test says, and the steps of each flow in their order.

mod failures;
mod handout;
mod loading;
mod misuse;
mod refresh;
mod refused;
mod saving;
mod sign_in;
mod sign_out;
mod world;
