//! What the emulator answers, over real connections.

mod device;
mod faults;
mod http;
mod jwt;
mod pages;
mod refusals;
mod serving;
mod sign_ins;
mod tokens;
