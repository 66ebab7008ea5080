//! The suite that runs over every adapter of this workspace.

mod adapter;

loginradius_conformance::suite!(crate::adapter::Async);

mod own_builder {
    loginradius_conformance::own_client!(crate::adapter::own::OwnBuilder);
}
