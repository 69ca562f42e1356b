//! Replays what fuzzers kept, and throws some more at every target.

use std::path::Path;

use proptest::prelude::*;

use super::{TARGETS, parts};

#[test]
fn everything_that_fuzzers_found_is_taken_well() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut replayed = 0;
    for (name, target) in TARGETS {
        let folder = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|_| {
            panic!("every target needs a corpus, {name} has none in fuzz/corpus")
        });
        for file in folder {
            let input = std::fs::read(file.unwrap().path()).unwrap();
            target(&input);
            replayed += 1;
        }
    }
    assert!(replayed > 3 * TARGETS.len());
}

/// Pieces that inputs of all targets are made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\0",
    "null",
    "true",
    "1",
    "-1e999",
    "1e400",
    "18446744073709551616",
    "\"a\"",
    "\"\\ud800\"",
    "\"~1\"",
    "\"/a/0\"",
    "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}",
    "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":[]}]",
    "\"$patch\":\"delete\"",
    "\"$setElementOrder/a\":[\"b\"]",
    "{\"metadata\":{\"name\":\"x\",\"managedFields\":[{}]}}",
    "{\"spec\":{\"list\":[{\"a\":\"x\"},{\"a\":\"x\",\"b\":2}],\"set\":[\"a\",\"a\"]}}",
    "&a [*a, *a]",
    "<<: *a",
    "!!binary",
    "- ",
    "\n",
    " in (",
    "!=",
    "notin",
    "..",
    "[?(@.a==1)]",
    "k8s\0",
    "\n\u{4}\n\u{2}v1\u{12}\u{2}",
    "/apis/",
    "/api/v1/",
    "%00",
    "%ff",
    "namespaces/",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "self.list.all(x, x > 0)",
    "self.text.matches('(a{1000}){1000}')",
    "oldSelf",
    "x-kubernetes-validations",
    "\"type\":\"object\"",
    "\"properties\":",
    "\u{feff}",
    "\u{10ffff}",
    "é",
];

fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn made_up_inputs_are_taken_well(input in input()) {
        for (_, target) in TARGETS {
            target(&input);
        }
    }
}

#[test]
fn parts_are_separated_by_nul() {
    assert_eq!(parts::<3>(b"a\0b"), [&b"a"[..], b"b", b""]);
    assert_eq!(parts::<2>(b"a\0b\0c"), [&b"a"[..], b"b\0c"]);
}
