//! How one output differs from another, in few lines.

/// One line of a difference. They are applied from the top to the bottom.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// `= line`: go on behind the next such line.
    Find(String),
    /// `- line`: drop the next such line.
    Remove(String),
    /// `+ line`: put this line here.
    Add(String),
}

impl Edit {
    pub fn read(line: &str) -> Option<Self> {
        let text = || line.get(2..).unwrap_or_default().to_owned();
        match line.as_bytes() {
            [b'='] | [b'=', b' ', ..] => Some(Self::Find(text())),
            [b'-'] | [b'-', b' ', ..] => Some(Self::Remove(text())),
            [b'+'] | [b'+', b' ', ..] => Some(Self::Add(text())),
            _ => None,
        }
    }

    pub fn write(&self) -> String {
        let text = match self {
            Self::Find(line) => format!("= {line}"),
            Self::Remove(line) => format!("- {line}"),
            Self::Add(line) => format!("+ {line}"),
        };
        text.trim_end().to_owned()
    }
}

/// The text with the edits made; `None` where they don't fit it.
pub fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut rest: Vec<&str> = text.lines().collect();
    let mut made = Vec::new();
    for edit in edits {
        match edit {
            Edit::Add(line) => made.push(line.as_str()),
            Edit::Find(line) | Edit::Remove(line) => {
                let at = rest.iter().position(|one| one == line)?;
                made.extend(rest.drain(..=at));
                if matches!(edit, Edit::Remove(_)) {
                    made.pop();
                }
            }
        }
    }
    made.extend(rest);
    Some(made.join("\n"))
}

/// The edits that make `other` of `text`; `None` where they would be no shorter
/// than `other` itself.
pub fn between(text: &str, other: &str) -> Option<Vec<Edit>> {
    let (from, to): (Vec<&str>, Vec<&str>) = (text.lines().collect(), other.lines().collect());
    let lengths = common_lengths(&from, &to);
    let (mut edits, mut i, mut j, mut matched) = (Vec::new(), 0, 0, None);
    while i < from.len() || j < to.len() {
        if i < from.len() && j < to.len() && from[i] == to[j] {
            matched = Some(from[i]);
            (i, j) = (i + 1, j + 1);
            continue;
        }
        // The line before a change tells where it is.
        if let Some(line) = matched.take() {
            edits.push(Edit::Find(line.to_owned()));
        }
        if j < to.len() && (i == from.len() || lengths[i][j + 1] > lengths[i + 1][j]) {
            edits.push(Edit::Add(to[j].to_owned()));
            j += 1;
        } else {
            edits.push(Edit::Remove(from[i].to_owned()));
            i += 1;
        }
    }
    let edits = without_needless_finds(text, other, edits);
    let fits = apply(text, &edits).as_deref() == Some(other);
    (fits && !edits.is_empty() && edits.len() < to.len()).then_some(edits)
}

fn without_needless_finds(text: &str, other: &str, mut edits: Vec<Edit>) -> Vec<Edit> {
    let mut index = 0;
    while index < edits.len() {
        if matches!(edits[index], Edit::Find(_)) {
            let mut fewer = edits.clone();
            fewer.remove(index);
            if apply(text, &fewer).as_deref() == Some(other) {
                edits = fewer;
                continue;
            }
        }
        index += 1;
    }
    edits
}

/// Length of the longest common subsequence of what is left from each pair on.
fn common_lengths(from: &[&str], to: &[&str]) -> Vec<Vec<usize>> {
    let mut lengths = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in (0..from.len()).rev() {
        for j in (0..to.len()).rev() {
            lengths[i][j] = if from[i] == to[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    lengths
}

#[test]
fn differences_are_small_and_can_be_applied() {
    let text = "a\nb\n\nc\nb\nd";
    let check = |other: &str, expected: &[&str]| {
        let edits = between(text, other).unwrap();
        assert_eq!(edits.iter().map(Edit::write).collect::<Vec<_>>(), expected);
        let read: Vec<Edit> = expected.iter().map(|line| Edit::read(line).unwrap()).collect();
        assert_eq!(apply(text, &read).unwrap(), other);
    };
    check("a\nb\nc\nb\nd", &["-"]);
    check("a\nb\n\nc\nd", &["= c", "- b"]);
    check("a\nb\n\nc\nb\nd\ne", &["= d", "+ e"]);
    check("a\nB\n\nc\nb\nd", &["- b", "+ B"]);
    assert_eq!(between(text, "x\ny"), None);
    assert_eq!(between(text, ""), None);
    assert_eq!(apply(text, &[Edit::Remove("z".to_owned())]), None);
}
