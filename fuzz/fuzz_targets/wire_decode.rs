//! Lets libFuzzer drive [`flyer_fuzz::wire_decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flyer_fuzz::wire_decode::run(data));
