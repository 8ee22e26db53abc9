//! Proof that the core crates, and everything they depend on, do without the standard library.
//!
//! This crate defines a panic handler. The standard library defines one too, and the compiler refuses a crate tree with
//! two (`E0152`, duplicate lang item `panic_impl`). So this crate compiles exactly as long as nothing below it links
//! `std`, and that on an ordinary machine, without a target for bare metal. It is never linked or run.
//!
//! `tests/run no-std` checks it, and then once more with the feature `counter-proof`, which has to fail.
#![no_std]

use flyer_client as _;
use flyer_cluster as _;
use flyer_types as _;
use flyer_vfs as _;
use flyer_wire as _;

/// The panic handler that collides with the one of `std`.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
