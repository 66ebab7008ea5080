//! Nothing that can be printed shows a secret. A test binary of its own, because it sets the process's logger.

mod adapter;

loginradius_conformance::canary!(crate::adapter::Blocking);

mod own_agent {
    loginradius_conformance::canary!(crate::adapter::own::OwnAgent);
}
