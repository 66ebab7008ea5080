//! The suite that runs over every adapter of this workspace.

mod adapter;

loginradius_conformance::suite!(crate::adapter::Blocking);

mod own_agent {
    loginradius_conformance::own_client!(crate::adapter::own::OwnAgent);
}
