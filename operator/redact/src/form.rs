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
    Json {
        also: Escaped,
    },
}

/// What encoders of JSON write with a `\\` besides what they must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaped {
    Nothing,
    /// `&`, `<` and `>` by their numbers: Go, and others whose text goes into HTML.
    Html,
    /// `/`: PHP.
    Slash,
}

impl Encoding {
    /// How a byte is written. In base64 a byte has no characters of its own.
    fn spell(self, byte: u8) -> Spelling {
        match self {
            Self::Plain | Self::Base64 { .. } => Spelling::new(&[byte]),
            Self::Percent { kept, lower } => percent(byte, kept, lower),
            Self::Json { also } => json(byte, also),
        }
    }

    /// Whether two write a value alike that has these bytes.
    fn same(self, other: Self, present: &[u8]) -> bool {
        match (self, other) {
            (Self::Base64 { .. }, _) | (_, Self::Base64 { .. }) => false,
            _ => present.iter().all(|byte| self.spell(*byte) == other.spell(*byte)),
        }
    }
}

/// A byte as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spelling {
    bytes: [u8; 6],
    length: u8,
}

impl Spelling {
    fn new(text: &[u8]) -> Self {
        let mut bytes = [0; 6];
        bytes.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
        Self { bytes, length: u8::try_from(text.len().min(6)).unwrap_or_default() }
    }
}

fn percent(byte: u8, kept: Kept, lower: bool) -> Spelling {
    if byte.is_ascii_alphanumeric() || kept.marks.contains(&byte) {
        Spelling::new(&[byte])
    } else if byte == b' ' && kept.plus {
        Spelling::new(b"+")
    } else {
        let [high, low] = hex(byte, lower);
        Spelling::new(&[b'%', high, low])
    }
}

fn json(byte: u8, also: Escaped) -> Spelling {
    let by_number = || {
        let [high, low] = hex(byte, true);
        Spelling::new(&[b'\\', b'u', b'0', b'0', high, low])
    };
    match byte {
        b'"' => Spelling::new(b"\\\""),
        b'\\' => Spelling::new(b"\\\\"),
        b'\n' => Spelling::new(b"\\n"),
        b'\r' => Spelling::new(b"\\r"),
        b'\t' => Spelling::new(b"\\t"),
        0x08 => Spelling::new(b"\\b"),
        0x0c => Spelling::new(b"\\f"),
        0..0x20 => by_number(),
        b'&' | b'<' | b'>' if also == Escaped::Html => by_number(),
        b'/' if also == Escaped::Slash => Spelling::new(b"\\/"),
        _ => Spelling::new(&[byte]),
    }
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
        Cursor { form: self.clone(), at, ready: Spelling::default(), next: 0 }
    }

    /// Whether another one reads the same.
    pub fn reads_as(&self, other: &Self) -> bool {
        let alike = match (self.encoding, other.encoding) {
            (
                Encoding::Base64 { first_bit, url },
                Encoding::Base64 { first_bit: other, url: others },
            ) => first_bit == other && url == others,
            (one, other) => one.same(other, &present(self.bytes())),
        };
        match alike {
            true => self.bytes() == other.bytes(),
            false => self.cursor().eq(other.cursor()),
        }
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
    ready: Spelling,
    next: u8,
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

    /// No more than so many bytes are left.
    pub fn longest(&self) -> usize {
        let left = self.form.part.len() * 8;
        match self.form.encoding {
            Encoding::Base64 { .. } => left.saturating_sub(self.at) / 6,
            Encoding::Plain => left / 8 - self.at.min(left / 8),
            _ => (left / 8 - self.at.min(left / 8)).saturating_add(1).saturating_mul(6),
        }
    }

    /// Whether line ends may be among what is left.
    pub fn has_lines(&self) -> bool {
        let left = self.form.bytes().get(self.at..).unwrap_or_default();
        matches!(self.form.encoding, Encoding::Plain) && left.contains(&b'\n')
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    fn fill(&mut self) {
        let bytes = self.form.bytes();
        let spelling = if let Encoding::Base64 { url, .. } = self.form.encoding {
            let Some(digit) = six_bits(bytes, self.at) else { return };
            self.at += 6;
            Spelling::new(&[base64_character(digit, url)])
        } else {
            let Some(&byte) = bytes.get(self.at) else { return };
            self.at += 1;
            self.form.encoding.spell(byte)
        };
        (self.ready, self.next) = (spelling, 0);
    }
}

impl Iterator for Cursor {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.next == self.ready.length {
            self.fill();
        }
        if self.next == self.ready.length {
            return None;
        }
        let byte = self.ready.bytes.get(usize::from(self.next)).copied();
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

/// All forms of a value that is long enough. Of those in which each byte is written by
/// itself there is none twice.
pub(crate) fn forms(value: &[u8], depth: Depth) -> Vec<Form> {
    let value = trimmed(value);
    let mut forms = Vec::new();
    if characters(value) < MIN_CHARACTERS {
        return forms;
    }
    let length = value.len();
    let value = Arc::new(SecretSlice::from(value.to_vec()));
    let form = |part, encoding| Form { value: Arc::clone(&value), part, encoding };
    let by_bytes = different(bytewise(), value.expose_secret());
    forms.extend(by_bytes.into_iter().chain(base64()).map(|encoding| form(0..length, encoding)));
    if depth == Depth::Whole {
        return forms;
    }
    for part in lines(value.expose_secret()) {
        let encodings = [Encoding::Plain].into_iter().chain(in_json());
        let line = value.expose_secret().get(part.clone()).unwrap_or_default();
        forms.extend(different(encodings, line).into_iter().map(|it| form(part.clone(), it)));
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

/// Those that write each byte by itself.
fn bytewise() -> impl Iterator<Item = Encoding> {
    let percent = KEPT
        .into_iter()
        .flat_map(|kept| [false, true].map(|lower| Encoding::Percent { kept, lower }));
    [Encoding::Plain].into_iter().chain(in_json()).chain(percent)
}

fn in_json() -> impl Iterator<Item = Encoding> {
    [Escaped::Nothing, Escaped::Html, Escaped::Slash]
        .into_iter()
        .map(|also| Encoding::Json { also })
}

fn base64() -> impl Iterator<Item = Encoding> {
    // The value begins with the first, second or third byte of three.
    [0, 4, 2]
        .into_iter()
        .flat_map(|first_bit| [false, true].map(|url| Encoding::Base64 { first_bit, url }))
}

/// Of these only those that write a text in different ways.
fn different(encodings: impl Iterator<Item = Encoding>, text: &[u8]) -> Vec<Encoding> {
    let present = present(text);
    let mut found: Vec<Encoding> = Vec::new();
    for encoding in encodings {
        if !found.iter().any(|known| known.same(encoding, &present)) {
            found.push(encoding);
        }
    }
    found
}

/// The bytes that a text has, each once.
fn present(text: &[u8]) -> Vec<u8> {
    let mut seen = [false; 256];
    for byte in text {
        seen[usize::from(*byte)] = true;
    }
    (0..=u8::MAX).filter(|byte| seen[usize::from(*byte)]).collect()
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
    use std::collections::BTreeSet;

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    fn texts(value: &[u8]) -> Vec<String> {
        forms(value, Depth::Lines)
            .iter()
            .map(|f| String::from_utf8_lossy(&f.cursor().collect::<Vec<_>>()).into_owned())
            .collect::<BTreeSet<_>>()
            .into_iter()
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
    fn encoders_of_json_differ_in_what_they_escape() {
        let all = texts(b"a/b&c<d>e\"\x01");
        for expected in
            [r#"a/b&c<d>e\"\u0001"#, r#"a/b\u0026c\u003cd\u003ee\"\u0001"#, r#"a\/b&c<d>e\"\u0001"#]
        {
            assert!(all.iter().any(|form| form == expected), "{expected} {all:?}");
        }
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
