use std::time::{Instant, SystemTime};

use loginradius_proto::session::Now;

pub(super) fn now() -> Now {
    Now::new(Instant::now(), SystemTime::now())
}
