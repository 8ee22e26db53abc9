//! The flyer program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    flyer::cli::main()
}
