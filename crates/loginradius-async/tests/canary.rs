//! Nothing that can be printed shows a secret. In a process of its own, for the logger is the process's.

mod adapter;

loginradius_conformance::canary!(crate::adapter::Async);

mod own_builder {
    loginradius_conformance::canary!(crate::adapter::own::OwnBuilder);
}
