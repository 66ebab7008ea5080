//! Nothing that can be printed shows a secret. In a process of its own, for the logger is the process's.

mod adapter;

loginradius_conformance::canary!(crate::adapter::Blocking);

mod own_agent {
    loginradius_conformance::canary!(crate::adapter::own::OwnAgent);
}
