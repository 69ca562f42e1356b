//! Values in texts that are whole or come in pieces.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use hades_redact::{MARKER, Redactor};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;

fn redactor(values: &[&str]) -> Redactor {
    Redactor::new(values.iter().map(|value| value.as_bytes()))
}

/// What a stream makes of pieces.
fn streamed<'a>(redactor: &Redactor, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    out
}

/// Hides every byte of every occurrence, slowly.
fn naive(values: &[String], text: &str) -> String {
    let mut hidden = vec![false; text.len()];
    for value in values.iter().filter(|value| value.len() >= hades_redact::MIN_CHARACTERS) {
        for at in 0..text.len() {
            if text[at..].starts_with(value.as_str()) {
                hidden[at..at + value.len()].fill(true);
            }
        }
    }
    let mut out = String::new();
    for (at, character) in text.char_indices() {
        match hidden[at] {
            false => out.push(character),
            true if at == 0 || !hidden[at - 1] => out.push_str(MARKER),
            true => {}
        }
    }
    out
}

/// A text's forms by other means than the crate's own.
fn written(value: &str, how: usize) -> String {
    match how % 8 {
        0 => value.to_owned(),
        1 => STANDARD.encode(value),
        2 => STANDARD_NO_PAD.encode(format!("x{value}")),
        3 => URL_SAFE.encode(format!("xy{value}z")),
        4 => utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        5 => utf8_percent_encode(value, NON_ALPHANUMERIC).to_string().to_lowercase(),
        6 => format!("{value}{value}"),
        _ => value.get(1..).unwrap_or_default().to_owned(),
    }
}

/// Cuts a text where the numbers say.
fn cut<'a>(text: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_of_every_occurrence_is_hidden_and_nothing_else(
        values in vec("[ab]{3,12}", 0..8),
        text in "[ab]{0,8}([ab]{0,60}[.]){0,4}",
    ) {
        let redactor = Redactor::new(values.iter().map(|value| value.as_bytes()));
        prop_assert_eq!(redactor.text(&text), naive(&values, &text));
    }

    #[test]
    fn a_stream_hides_what_the_whole_text_does(
        values in vec("[a-f0-9/+\"ä ]{4,20}|[a-c]{4,7}\n[a-c]{2,5}\n[a-c]{6,9}", 1..6),
        parts in vec((0..8_usize, 0..9_usize, "[a-f \n]{0,6}"), 0..12),
        places in vec(0..1000_usize, 0..12),
    ) {
        let redactor = Redactor::new(values.iter().map(|value| value.as_bytes()));
        let mut text = String::new();
        for (which, how, between) in parts {
            text.push_str(&written(&values[which % values.len()], how));
            text.push_str(&between);
        }
        let whole = redactor.bytes(text.as_bytes()).into_owned();
        let pieces = streamed(&redactor, cut(text.as_bytes(), &places));
        prop_assert_eq!(String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&whole));
        let single = streamed(&redactor, text.as_bytes().chunks(1));
        prop_assert_eq!(&single, &whole);
        prop_assert_eq!(
            whole.iter().filter(|byte| **byte == b'\n').count() <= text.matches('\n').count(),
            true
        );
        for value in values.iter().map(|value| value.trim()) {
            if value.chars().count() >= hades_redact::MIN_CHARACTERS {
                for how in 0..7 {
                    let form = written(value, how);
                    let shown = String::from_utf8_lossy(&whole).contains(&form);
                    prop_assert!(!shown, "{form} in {:?}", String::from_utf8_lossy(&whole));
                }
            }
        }
    }
}

#[test]
fn values_overlap_touch_and_lie_within_each_other() {
    let redactor = redactor(&["secret-one", "one-two-three", "two-th", "hunter"]);
    assert_eq!(redactor.text("a secret-one-two-three b"), "a *** b");
    assert_eq!(redactor.text("two-thhunter hunter2"), "*** ***2");
    assert_eq!(redactor.text("one-two-thre"), "one-***re");
    assert!(matches!(redactor.text("nothing"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn hiding_twice_changes_nothing() {
    let redactor = redactor(&["******", "redacted", "hunter22"]);
    let once = redactor.text("redacted ****** hunter22!").into_owned();
    assert_eq!(once, "*** *** ***!");
    assert_eq!(redactor.text(&once), once);
}

#[test]
fn lines_come_at_once_unless_a_value_goes_on() {
    let redactor = redactor(&["hunter22", "first\nsecond line"]);
    let (mut stream, mut out) = (redactor.stream(), Vec::new());
    let mut shown = |stream: &mut hades_redact::Stream, piece: &str| {
        out.clear();
        stream.push(piece.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    assert_eq!(shown(&mut stream, "a line\n"), "a line\n");
    assert_eq!(shown(&mut stream, "pass: hunt"), "pass: ");
    assert_eq!(shown(&mut stream, "ing\n"), "hunting\n");
    assert_eq!(shown(&mut stream, "it is first\n"), "it is ");
    assert_eq!(shown(&mut stream, "class\n"), "first\nclass\n");
    assert_eq!(shown(&mut stream, "it is first\n"), "it is ");
    assert_eq!(shown(&mut stream, "second line\n"), "***\n***\n");
    assert_eq!(shown(&mut stream, "second line alone\n"), "*** alone\n");
}

#[test]
fn values_change_while_a_stream_goes_on() {
    let (old, new) = (redactor(&["old-value"]), redactor(&["new-value"]));
    let (mut stream, mut out) = (old.stream(), Vec::new());
    stream.push(b"old-value new-", &mut out);
    stream.renew(&new);
    stream.push(b"value old-value ", &mut out);
    // One that began before it was known is held back as far as it can be.
    stream.renew(&redactor(&["old-value", "new-value"]));
    stream.push(b"old-value new-va", &mut out);
    stream.renew(&Redactor::default());
    stream.push(b"lue old-value", &mut out);
    stream.finish(&mut out);
    let text = String::from_utf8_lossy(&out);
    assert_eq!(text, "*** new-value old-value *** new-value old-value");
}

#[test]
fn a_value_of_a_megabyte_with_any_bytes() {
    let value: Vec<u8> = (0..1_u32 << 20)
        .map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3].wrapping_add((at >> 13) as u8))
        .collect();
    let redactor = Redactor::new([value.as_slice(), b"nul\0and\nline"]);
    let mut text = b"before ".to_vec();
    text.extend_from_slice(&value);
    text.extend_from_slice(b" between nul\0and\nline ");
    text.extend_from_slice(STANDARD.encode(&value).as_bytes());
    text.extend_from_slice(b" after");
    let out = streamed(&redactor, text.chunks(1000));
    let lines: Vec<u8> = out.iter().copied().filter(|byte| !b"*\n".contains(byte)).collect();
    assert_eq!(String::from_utf8_lossy(&lines), "before  between  == after");
    assert_eq!(redactor.bytes(&text), out);
    // Only the first half of it.
    let half = redactor.bytes(&value[..value.len() / 2]).into_owned();
    assert!(half.iter().all(|byte| b"*\n".contains(byte)), "{}", half.len());
}

#[test]
fn keys_that_begin_alike_are_told_apart() {
    let key = |last: char| format!("-----BEGIN KEY-----\n{}{last}", "b3BlbnNzaC1r\n".repeat(12));
    let keys: Vec<String> = ('a'..='f').map(|last| key(last).repeat(2)).collect();
    let redactor = Redactor::new(keys.iter().map(|key| key.as_bytes()));
    for key in &keys {
        let out = redactor.text(key).into_owned();
        assert!(out.chars().all(|character| "*\n".contains(character)), "{out}");
    }
}

#[test]
fn of_many_that_begin_alike_all_is_hidden() {
    let begin = format!("{{\"type\": \"service_account\", \"note\": \"{}\", ", "n".repeat(128));
    let credential = |number: usize| format!("{begin}\"key\": \"key-of-{number:03}\"}}");
    let credentials: Vec<String> = (0..40).map(credential).collect();
    let redactor = Redactor::new(credentials.iter().map(|credential| credential.as_bytes()));
    for credential in &credentials {
        let text = format!("a line\nit is {credential}\nnext line\n");
        let expected = "a line\nit is ***\nnext line\n";
        assert_eq!(redactor.text(&text), expected);
        for size in [1, 7, 100] {
            let out = streamed(&redactor, text.as_bytes().chunks(size));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
    // Also where a line of a value is too short to be looked for by itself.
    let key = |number: usize| format!("{begin}\n{number:03}\nthe end of it {number:03}");
    let keys: Vec<String> = (0..40).map(key).collect();
    let redactor = Redactor::new(keys.iter().map(|key| key.as_bytes()));
    for key in &keys {
        assert_eq!(redactor.text(&format!("{key}\n")), "***\n***\n***\n");
    }
}

#[test]
fn the_bits_that_values_share_with_their_neighbours_are_hidden() {
    let redactor = redactor(&["hunter22"]);
    for before in ["", "a", "ab"] {
        for after in ["", "c", "cd"] {
            let text = STANDARD_NO_PAD.encode(format!("{before}hunter22{after}"));
            let out = redactor.text(&text).into_owned();
            let rest = out.replace(MARKER, "");
            // The last character is filled up with up to four bits.
            let bits = (before.len() + after.len()) * 8 + 4;
            assert!(rest.len() * 6 <= bits, "{text} became {out}");
        }
    }
}

#[test]
fn debug_says_nothing_of_the_values() {
    let redactor = redactor(&["hunter22"]);
    let mut stream = redactor.stream();
    stream.push(b"hunter2", &mut Vec::new());
    let text = format!("{redactor:?} {stream:?}");
    assert!(!text.contains("hunter"), "{text}");
}

#[test]
fn nothing_that_does_io_is_linked() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "-p", "hades-redact", "-e", "normal", "--prefix", "none", "--offline"])
        // What the rest of the workspace switches on is no matter of this crate.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION")
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let expected = ["hades-redact", "aho-corasick", "memchr", "secrecy", "zeroize"];
    assert_eq!(names, expected);
}

#[test]
fn a_weak_redactor_lasts_as_long_as_another_has_it() {
    let redactor = redactor(&["hunter22"]);
    let weak = redactor.downgrade();
    assert!(weak.upgrade().is_some_and(|same| same.is(&redactor)));
    drop(redactor);
    assert!(weak.upgrade().is_none());
    assert!(Redactor::default().downgrade().upgrade().is_some());
}
