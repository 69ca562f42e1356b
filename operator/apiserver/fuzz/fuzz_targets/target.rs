//! One program for all targets of `hades_apiserver::fuzzing`: `HADES_FUZZ_TARGET`
//! says which.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn chosen() -> fn(&[u8]) {
    let name = std::env::var("HADES_FUZZ_TARGET").unwrap_or_default();
    let found = hades_apiserver::fuzzing::TARGETS.iter().find(|(one, _)| *one == name);
    match found {
        Some((_, target)) => *target,
        None => panic!("HADES_FUZZ_TARGET={name:?} names no target"),
    }
}

fuzz_target!(|data: &[u8]| TARGET.get_or_init(chosen)(data));
