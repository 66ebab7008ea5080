#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loginradius_fuzz::token_response(data));
