//! Each part against a naive model that is recomputed from the whole history after every step.

extern crate alloc;

mod credits;
mod deadlines;
mod retry;
mod single_flight;
mod slots;

use proptest::prelude::ProptestConfig;

/// Many short runs; a case that was found is to be kept as a test of its own, not in a file beside it.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
