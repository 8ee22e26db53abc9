//! The session with the manager.
