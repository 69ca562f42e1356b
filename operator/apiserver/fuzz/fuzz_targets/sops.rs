//! Files of sops: whatever they hold, reading comes to an end, and what is sealed opens
//! again.
#![no_main]

use std::sync::LazyLock;

use hades_sops::{Format, Keys, Recipient, SealOptions, open, seal};
use libfuzzer_sys::fuzz_target;

/// The published test key that the corpus is sealed to.
const KEY: &str = include_str!("../../../sops/tests/sops/vectors/flux/age.txt");

static KEYS: LazyLock<(Keys, Vec<Recipient>)> = LazyLock::new(|| {
    let keys = Keys::parse(KEY).expect("the key is whole");
    let recipients = keys.recipients();
    (keys, recipients)
});

fuzz_target!(|data: &[u8]| {
    let (keys, recipients) = &*KEYS;
    let options = SealOptions::to(recipients.clone(), jiff::Timestamp::UNIX_EPOCH);
    for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Binary] {
        let _ = open(data, format, keys);
        if let Ok(sealed) = seal(data, format, &options) {
            assert!(open(sealed.as_bytes(), format, keys).is_ok(), "{format:?}");
        }
    }
});
