//! How requests are written and responses are read. Nothing here knows more of an operation than its name and
//! its route.

pub(crate) mod character;
mod date;
mod decoding;
pub(crate) mod encode;
pub(crate) mod head;
pub(crate) mod json;
mod known_texts;
pub(crate) mod number;
mod redaction;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod response;
