//! Which proxy a request goes through: a table of settings and targets, the same table given to curl, and properties of
//! any settings.

mod like_curl;
mod properties;
mod table;
