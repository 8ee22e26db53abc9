//! The manager's messages.

pub mod admin;
pub mod node;
pub mod query;
pub mod routing;
pub mod session;
