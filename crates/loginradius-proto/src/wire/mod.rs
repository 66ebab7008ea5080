//! How requests are written and answers are read. Nothing here knows an operation.

pub(crate) mod answer;
pub(crate) mod head;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod scrub;
