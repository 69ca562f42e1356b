//! What differs from run to run, taken out of what commands print.

use std::sync::LazyLock;

use regex::{Captures, Regex};

macro_rules! patterns {
    ($($name:ident = $pattern:literal;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).unwrap());)*
    };
}

patterns! {
    UID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b";
    TIME = r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000|Z)";
    LONG_TIME = r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000";
    LOG_LINE = r"(?m)^([IWE])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (\w+\.go):\d+\]";
    PORT = r"127\.0\.0\.1:\d+";
    VERSION = r#"("?resourceVersion"?: ?)"\d+""#;
    SKEW = r"(?i)warning(: version difference between client) \(1\.\d+\)";
    CLIENT = r"Client Version: v1\.\d+\.\d+\S*";
    DESCRIBED_VERSION = r"(Resource Version: +)\d+";
    EDITED = r"/tmp/kubectl-edit-\d+\.yaml";
    // Of a Secret: base64 of `hades:fp:` and what follows.
    FINGERPRINT = r"aGFkZXM6ZnA6[A-Za-z0-9+/]+=*";
    // From 1.34 on, kubectl says from where; so many commands say it.
    DELETED = r"( deleted) from \S+ namespace";
    DIFF = r"\S*/(LIVE|MERGED)-\d+/";
    // Of a column: between two spaces or at the edge of a line.
    AGE = r"(?m)(^|  )(\d{1,3}s)( +|$)";
}

/// The text with fixed words in place of what no two runs have in common. Columns
/// keep their widths.
pub fn steady(text: &str, home: &str) -> String {
    let text = text.replace(home, "HOME");
    let text = UID.replace_all(&text, "UID");
    let text = TIME.replace_all(&text, "TIME");
    let text = LONG_TIME.replace_all(&text, "TIME");
    let text = LOG_LINE.replace_all(&text, "$1 $2]");
    let text = PORT.replace_all(&text, "127.0.0.1:PORT");
    let text = VERSION.replace_all(&text, "$1\"VERSION\"");
    let text = DESCRIBED_VERSION.replace_all(&text, "${1}VERSION");
    let text = EDITED.replace_all(&text, "/tmp/kubectl-edit.yaml");
    let text = FINGERPRINT.replace_all(&text, "FINGERPRINT");
    let text = DELETED.replace_all(&text, "$1");
    let text = SKEW.replace_all(&text, "WARNING$1");
    let text = CLIENT.replace_all(&text, "Client Version: VERSION");
    let text = DIFF.replace_all(&text, "$1/");
    let text = AGE.replace_all(&text, |found: &Captures<'_>| {
        let (before, age, after) = (&found[1], &found[2], &found[3]);
        let width = if after.is_empty() { 0 } else { age.len() + after.len() };
        format!("{before}{:width$}", "0s")
    });
    // Versions disagree about empty lines more than about anything else.
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.dedup_by(|next, line| next.is_empty() && line.is_empty());
    lines.join("\n").trim_matches('\n').to_owned()
}

#[test]
fn ages_keep_the_width_of_their_column() {
    let table = "NAME   AGE   LABELS\nred    12s   a=b\nblue   5s    <none>\nlast   114s";
    let expected = "NAME   AGE   LABELS\nred    0s    a=b\nblue   0s    <none>\nlast   0s";
    assert_eq!(steady(table, "/none"), expected);
    assert_eq!(
        steady("waited 12s for it, --timeout=20s", "/none"),
        "waited 12s for it, --timeout=20s"
    );
}
