//! Lets libFuzzer drive [`flyer_fuzz::frame_stream`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flyer_fuzz::frame_stream::run(data));
