//! Patterns of files: those of `.hadesignore`, which are no manifests, and those that a
//! reader names.
//!
//! A pattern per line, as in `.gitignore` but simpler: `*` and `?` stay within a
//! name, `**` spans folders, a pattern with a slash counts from the folder of the
//! file, one without fits at any depth, and a folder takes everything in it along.
//! `#` starts a comment. There is no `!`.

/// The patterns of a `.hadesignore`.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

/// A line that is no pattern.
#[derive(Debug)]
pub(super) struct BadPattern {
    /// Line, from 1.
    pub(super) line: u32,
    pub(super) message: &'static str,
}

#[derive(Debug)]
struct Pattern {
    segments: Vec<String>,
    /// Counts from the folder of the file, not at any depth.
    anchored: bool,
}

impl Ignore {
    /// Reads the file. Bad lines are left out and reported.
    pub(super) fn parse(text: &str) -> (Self, Vec<BadPattern>) {
        let mut patterns = Vec::new();
        let mut bad = Vec::new();
        for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if text.starts_with('!') {
                bad.push(BadPattern {
                    line,
                    message: "patterns that begin with ! (take back in) are not supported; \
                              name what is to be left out more exactly",
                });
                continue;
            }
            patterns.extend(Pattern::of(text));
        }
        (Ignore { patterns }, bad)
    }

    /// The patterns of a list, which has no comments.
    pub(super) fn of(patterns: &[String]) -> Self {
        Ignore { patterns: patterns.iter().filter_map(|text| Pattern::of(text.trim())).collect() }
    }

    /// Adds the patterns of another one.
    pub(super) fn extend(&mut self, other: Ignore) {
        self.patterns.extend(other.patterns);
    }

    /// Whether there is no pattern at all.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a file, by its path relative to the folder, is left out.
    pub(super) fn covers(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        self.patterns.iter().any(|pattern| {
            if !pattern.anchored {
                return names.iter().any(|name| name_matches(&pattern.segments[0], name));
            }
            path_matches(&pattern.segments, &names)
        })
    }
}

impl Pattern {
    fn of(text: &str) -> Option<Self> {
        let pattern = text.trim_end_matches('/');
        let segments: Vec<String> = pattern
            .split('/')
            .filter(|segment| !segment.is_empty() && *segment != ".")
            .map(str::to_owned)
            .collect();
        (!segments.is_empty()).then(|| Pattern { segments, anchored: pattern.contains('/') })
    }
}

/// Whether a pattern fits the path or a folder above it. Keeps the set of places
/// that the pattern can have reached, so that no number of `**` makes it slow.
fn path_matches(pattern: &[String], names: &[&str]) -> bool {
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for segment in pattern {
        let mut next = vec![false; names.len() + 1];
        for place in 0..=names.len() {
            if segment == "**" {
                next[place] = reached[place] || (place > 0 && next[place - 1]);
            } else if place > 0 {
                next[place] = reached[place - 1] && name_matches(segment, names[place - 1]);
            }
        }
        reached = next;
    }
    reached[1..].contains(&true)
}

/// `*` and `?` within one name. Remembers only the last `*`, which is enough, so
/// that no pattern takes more than pattern × name steps.
fn name_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut in_name) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((after_star, taken)) = retry else {
                    return false;
                };
                retry = Some((after_star, taken + 1));
                at = after_star;
                in_name = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|left| *left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(patterns: &str, path: &str) -> bool {
        let (ignore, bad) = Ignore::parse(patterns);
        assert!(bad.is_empty());
        ignore.covers(path)
    }

    #[test]
    fn a_name_fits_at_any_depth() {
        assert!(covers("values.yaml", "values.yaml"));
        assert!(covers("values.yaml", "chart/values.yaml"));
        assert!(covers("node_modules/", "web/node_modules/a/b.json"));
        assert!(!covers("values.yaml", "values.yaml.yml"));
        assert!(!covers("# values.yaml\n", "values.yaml"));
    }

    #[test]
    fn a_path_counts_from_the_folder() {
        assert!(covers("/app/package.json", "app/package.json"));
        assert!(covers("app/*.json", "app/package.json"));
        assert!(!covers("app/*.json", "app/deep/package.json"));
        assert!(!covers("app/*.json", "other/app/package.json"));
        assert!(covers("/app", "app/deep/package.json"));
        assert!(covers("app/**/*.json", "app/deep/er/package.json"));
        assert!(covers("app/**/*.json", "app/package.json"));
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(covers("*", "a.yaml"));
        assert!(covers("a?.*", "ab.yaml"));
        assert!(!covers("a?.*", "a.yaml"));
        assert!(covers("*a*b*", "xxaxxbxx.json"));
        assert!(!covers("*a*b", "xxaxxbxx.json"));
        // Would take years with plain backtracking.
        assert!(!covers(&"*a".repeat(40), &"a".repeat(39)));
    }

    #[test]
    fn negation_is_refused_by_its_line() {
        let (ignore, bad) = Ignore::parse("a.yaml\n!b.yaml\n");
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].line, 2);
        assert!(ignore.covers("a.yaml"));
        assert!(!ignore.covers("b.yaml"));
    }
}
