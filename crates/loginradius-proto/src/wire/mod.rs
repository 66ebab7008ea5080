//! How requests are written and responses are read. Nothing here knows more of an operation than its name and
//! its route.

pub(crate) mod character;
pub(crate) mod encode;
pub(crate) mod head;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod scrub;
