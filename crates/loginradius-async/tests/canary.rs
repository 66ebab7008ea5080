//! Nothing that can be printed shows a secret. A test binary of its own, because it sets the process's logger.

mod adapter;

loginradius_conformance::canary!(crate::adapter::Async);

mod own_builder {
    loginradius_conformance::canary!(crate::adapter::own::OwnBuilder);
}
