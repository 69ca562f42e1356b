//! The forms in which a value turns up: as it is, in base64, URL-encoded, in JSON,
//! and each of its lines.

use std::ops::Range;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};

use crate::value::{MIN_CHARACTERS, characters, trimmed};

/// As many lines of a value are looked for one by one, and as many lines of its
/// base64 text. What is longer is found as a whole.
const MOST_LINES: usize = 512;

/// Bytes that make a line of base64: 64 characters (PEM) and 76 (MIME).
const BASE64_LINES: [usize; 2] = [48, 57];

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: [&[u8; 16]; 2] = [b"0123456789ABCDEF", b"0123456789abcdef"];

/// What URL encoders leave as it is, besides letters and digits.
#[derive(Clone, Copy, Debug)]
struct Kept {
    marks: &'static [u8],
    /// A space becomes `+`.
    plus: bool,
}

/// The encoders that are in use.
const KEPT: [Kept; 6] = [
    // RFC 3986, section 2.3.
    Kept { marks: b"-_.~", plus: false },
    // encodeURIComponent of ECMAScript.
    Kept { marks: b"-_.~!*'()", plus: false },
    // application/x-www-form-urlencoded of the URL standard.
    Kept { marks: b"-_.*", plus: true },
    // QueryEscape of Go, urlencode of Python.
    Kept { marks: b"-_.~", plus: true },
    // A path, and quote of Python.
    Kept { marks: b"-_.~/", plus: false },
    // The user's part of a URL, RFC 3986 section 3.2.1.
    Kept { marks: b"-_.~!$&'()*+,;=", plus: false },
];

/// How thoroughly a value is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// As a whole, and each of its lines.
    Lines,
    /// As a whole alone.
    Whole,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Plain,
    /// The characters that the value alone decides. Where the value begins within
    /// three bytes, its first bits are in a character with those before it.
    Base64 {
        first_bit: usize,
        url: bool,
    },
    Percent {
        kept: Kept,
        lower: bool,
    },
    /// Within a string of JSON, RFC 8259 section 7.
    Json,
}

/// A value, or a line of one, written in some way.
#[derive(Clone)]
pub(crate) struct Form {
    value: Arc<SecretSlice<u8>>,
    part: Range<usize>,
    encoding: Encoding,
}

impl Form {
    fn bytes(&self) -> &[u8] {
        self.value.expose_secret().get(self.part.clone()).unwrap_or_default()
    }

    /// From its first byte on.
    pub fn cursor(&self) -> Cursor {
        let at = if let Encoding::Base64 { first_bit, .. } = self.encoding { first_bit } else { 0 };
        Cursor { form: self.clone(), at, ready: [0; 6], next: 0, end: 0 }
    }

    /// Whether the character before it has bits of it as well.
    pub fn begins_earlier(&self) -> bool {
        matches!(self.encoding, Encoding::Base64 { first_bit, .. } if first_bit > 0)
    }

    /// Whether the character after it has bits of it as well.
    pub fn ends_later(&self) -> bool {
        matches!(self.encoding, Encoding::Base64 { first_bit, .. }
            if !(self.part.len() * 8 - first_bit).is_multiple_of(6))
    }
}

/// Whether a character can be one of base64, of either alphabet.
pub(crate) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The bytes of a form, one after the other. Nothing of it is kept written out: of a
/// value of a megabyte there are a dozen forms.
#[derive(Clone)]
pub(crate) struct Cursor {
    form: Form,
    /// The next byte of the value; in base64, the next bit.
    at: usize,
    ready: [u8; 6],
    next: u8,
    end: u8,
}

impl Cursor {
    /// As many bytes it keeps; forms of the same value share them.
    pub fn memory(&self) -> usize {
        self.form.value.expose_secret().len() / Arc::strong_count(&self.form.value).max(1)
    }

    /// Whether the character after the form has bits of it as well.
    pub fn ends_later(&self) -> bool {
        self.form.ends_later()
    }

    fn put(&mut self, bytes: &[u8]) {
        for (place, byte) in self.ready.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.next = 0;
        self.end = u8::try_from(bytes.len().min(self.ready.len())).unwrap_or_default();
    }

    fn fill(&mut self) {
        let bytes = self.form.bytes();
        if let Encoding::Base64 { url, .. } = self.form.encoding {
            if let Some(digit) = six_bits(bytes, self.at) {
                self.at += 6;
                self.put(&[base64_character(digit, url)]);
            }
            return;
        }
        let Some(&byte) = bytes.get(self.at) else { return };
        self.at += 1;
        match self.form.encoding {
            Encoding::Plain | Encoding::Base64 { .. } => self.put(&[byte]),
            Encoding::Percent { kept, lower } => self.put_percent(byte, kept, lower),
            Encoding::Json => self.put_json(byte),
        }
    }

    fn put_percent(&mut self, byte: u8, kept: Kept, lower: bool) {
        if byte.is_ascii_alphanumeric() || kept.marks.contains(&byte) {
            self.put(&[byte]);
        } else if byte == b' ' && kept.plus {
            self.put(b"+");
        } else {
            let [high, low] = hex(byte, lower);
            self.put(&[b'%', high, low]);
        }
    }

    fn put_json(&mut self, byte: u8) {
        match byte {
            b'"' => self.put(b"\\\""),
            b'\\' => self.put(b"\\\\"),
            b'\n' => self.put(b"\\n"),
            b'\r' => self.put(b"\\r"),
            b'\t' => self.put(b"\\t"),
            0x08 => self.put(b"\\b"),
            0x0c => self.put(b"\\f"),
            0..0x20 => {
                let [high, low] = hex(byte, true);
                self.put(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => self.put(&[byte]),
        }
    }
}

impl Iterator for Cursor {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.next == self.end {
            self.fill();
        }
        if self.next == self.end {
            return None;
        }
        let byte = self.ready.get(usize::from(self.next)).copied();
        self.next += 1;
        byte
    }
}

fn hex(byte: u8, lower: bool) -> [u8; 2] {
    let digits = HEX[usize::from(lower)];
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// The six bits from a bit on, where there are as many.
fn six_bits(bytes: &[u8], bit: usize) -> Option<u8> {
    if bit + 6 > bytes.len() * 8 {
        return None;
    }
    let high = u16::from(*bytes.get(bit / 8)?);
    let low = u16::from(bytes.get(bit / 8 + 1).copied().unwrap_or_default());
    let bits = (high << 8 | low) >> (10 - bit % 8) & 63;
    u8::try_from(bits).ok()
}

fn base64_character(digit: u8, url: bool) -> u8 {
    match BASE64[usize::from(digit & 63)] {
        b'+' if url => b'-',
        b'/' if url => b'_',
        other => other,
    }
}

/// All forms of a value that is long enough, each once.
pub(crate) fn forms(value: &[u8], depth: Depth) -> Vec<Form> {
    let value = trimmed(value);
    let mut forms = Vec::new();
    if characters(value) < MIN_CHARACTERS {
        return forms;
    }
    let length = value.len();
    let value = Arc::new(SecretSlice::from(value.to_vec()));
    let form = |part, encoding| Form { value: Arc::clone(&value), part, encoding };
    for encoding in encodings() {
        add(&mut forms, form(0..length, encoding));
    }
    if depth == Depth::Whole {
        return forms;
    }
    for part in lines(value.expose_secret()) {
        let plain = form(part.clone(), Encoding::Plain);
        let json = form(part, Encoding::Json);
        let differ = !plain.cursor().eq(json.cursor());
        forms.extend([plain].into_iter().chain(differ.then_some(json)));
    }
    let standard = Encoding::Base64 { first_bit: 0, url: false };
    for size in BASE64_LINES.into_iter().filter(|size| length > *size) {
        let parts = (0..length).step_by(size).map(|at| at..length.min(at + size));
        // A last line of fewer characters would be found everywhere.
        for part in parts.filter(|part| part.len() * 8 / 6 >= MIN_CHARACTERS).take(MOST_LINES) {
            forms.push(form(part, standard));
        }
    }
    forms
}

fn encodings() -> impl Iterator<Item = Encoding> {
    // The value begins with the first, second or third byte of three.
    let base64 = [0, 4, 2]
        .into_iter()
        .flat_map(|first_bit| [false, true].map(|url| Encoding::Base64 { first_bit, url }));
    let percent = KEPT
        .into_iter()
        .flat_map(|kept| [false, true].map(|lower| Encoding::Percent { kept, lower }));
    [Encoding::Plain, Encoding::Json].into_iter().chain(base64).chain(percent)
}

/// Adds a form unless there is one that reads the same.
fn add(forms: &mut Vec<Form>, form: Form) {
    let known = |one: &Form| one.cursor().eq(form.cursor());
    if !forms.iter().any(known) {
        forms.push(form);
    }
}

/// Lines of a value that has several. What only says that a key begins or ends is
/// no secret and in many texts.
fn lines(value: &[u8]) -> Vec<Range<usize>> {
    if !value.contains(&b'\n') {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut at = 0;
    for line in value.split(|byte| *byte == b'\n') {
        let inner = trimmed(line);
        let start = at + (line.len() - line.trim_ascii_start().len());
        at += line.len() + 1;
        let armor = inner.starts_with(b"-----BEGIN ") || inner.starts_with(b"-----END ");
        if !armor && characters(inner) >= MIN_CHARACTERS {
            found.push(start..start + inner.len());
        }
        if found.len() == MOST_LINES {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    fn texts(value: &[u8]) -> Vec<String> {
        forms(value, Depth::Lines)
            .iter()
            .map(|f| String::from_utf8_lossy(&f.cursor().collect::<Vec<_>>()).into_owned())
            .collect()
    }

    #[test]
    fn base64_is_what_the_value_decides_in_each_place() {
        let value = b"\xff\xfe~?hunter2>>";
        let all = texts(value);
        for before in 0..3 {
            let mut whole = vec![b'x'; before];
            whole.extend_from_slice(value);
            for (encoded, url) in
                [(STANDARD.encode(&whole), false), (URL_SAFE_NO_PAD.encode(&whole), true)]
            {
                let core = encoded.trim_end_matches('=');
                let found =
                    all.iter().any(|form| core.contains(form) && form.len() + 4 >= core.len());
                assert!(found, "{before} {url} {core} {all:?}");
            }
        }
    }

    #[test]
    fn url_encoders_agree_with_the_library() {
        let value = "pä ss/w%rd";
        let all = texts(value.as_bytes());
        let whole = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        assert!(all.contains(&whole), "{all:?}");
        assert!(all.contains(&whole.to_lowercase()) && all.contains(&whole.replace("%20", "+")));
        assert!(all.contains(&whole.replace("%2F", "/")));
    }

    #[test]
    fn forms_that_read_the_same_are_there_once() {
        // Plain, and three places in base64.
        assert_eq!(texts(b"hunter22\n").len(), 4);
        assert_eq!(texts(b"short"), Vec::<String>::new());
        assert!(texts(b"quo\"ted").contains(&"quo\\\"ted".to_owned()));
    }

    #[test]
    fn lines_are_looked_for_one_by_one_but_not_what_frames_a_key() {
        let key = "-----BEGIN KEY-----\n  MIIEvQIBADAN\r\nab\nAgEAAoIBAQ\n-----END KEY-----\n";
        let all = texts(key.as_bytes());
        for line in ["MIIEvQIBADAN", "AgEAAoIBAQ"] {
            assert!(all.contains(&line.to_owned()), "{all:?}");
        }
        assert!(!all.iter().any(|form| form == "ab" || form == "-----BEGIN KEY-----"));
        let long = [b'k'; 110];
        let wrapped = STANDARD.encode(long);
        for columns in [64, 76] {
            for line in wrapped.as_bytes().chunks(columns) {
                let line = String::from_utf8_lossy(line).trim_end_matches('=').to_owned();
                assert!(
                    texts(&long)
                        .iter()
                        .any(|form| line.starts_with(form) && form.len() + 1 >= line.len())
                );
            }
        }
    }
}
