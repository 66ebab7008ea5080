//! The public functions.

mod responses;
