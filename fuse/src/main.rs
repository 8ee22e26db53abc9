//! The flyer program.
fn main() {}
