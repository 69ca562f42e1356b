//! Sessions: what somebody types, and what the terminal shows.
//!
//! ```text
//! # Why the step is here.
//! $ kubectl create namespace shop <<EOF
//! > a further line of the same command
//! > EOF
//!   what is printed, by two spaces indented
//! exit 1
//! @ 1.29-1.31 1.33
//!   what these versions print instead
//! @ 1.32
//! - a line that this version does not print
//! + a line that it prints there
//! ```

use std::fmt::Write as _;

use crate::edit::{self, Edit};

/// One command and what is expected of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub comments: Vec<String>,
    pub script: String,
    /// What most versions do.
    pub usual: Reply,
    /// What others do instead, by their minor versions.
    pub unusual: Vec<(Vec<u32>, Reply)>,
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub output: String,
    pub code: i32,
}

impl Reply {
    fn push(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push('\n');
    }

    fn tidy(&mut self) {
        self.output.truncate(self.output.trim_end().len());
    }
}

impl Step {
    /// What is expected of this minor version.
    pub fn expected(&self, minor: u32) -> &Reply {
        let unusual = self.unusual.iter().find(|(minors, _)| minors.contains(&minor));
        unusual.map_or(&self.usual, |(_, reply)| reply)
    }

    /// Takes what one version did for all that did the same as it before.
    pub fn accept_for_group(&mut self, minor: u32, reply: Reply) {
        match self.unusual.iter_mut().find(|(minors, _)| minors.contains(&minor)) {
            Some((_, known)) => *known = reply,
            None => self.usual = reply,
        }
    }

    /// Takes what each minor version did as what is expected. The usual reply is
    /// the one that most gave; of two, the one of the newer versions.
    pub fn accept(&mut self, replies: &[(u32, Reply)]) {
        let mut groups: Vec<(Vec<u32>, Reply)> = Vec::new();
        for (minor, reply) in replies {
            match groups.iter_mut().find(|(_, known)| known == reply) {
                Some((minors, _)) => minors.push(*minor),
                None => groups.push((vec![*minor], reply.clone())),
            }
        }
        let usual = (0..groups.len()).max_by_key(|index| {
            let minors = &groups[*index].0;
            (minors.len(), minors.last().copied())
        });
        if let Some(usual) = usual {
            self.usual = groups.remove(usual).1;
        }
        self.unusual = groups;
    }
}

/// Reads a session.
pub fn read(name: &str, text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut comments = Vec::new();
    let mut edits = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = || -> ! { panic!("{name}:{}: {line:?} is no line of a session", index + 1) };
        if let Some(comment) = line.strip_prefix('#') {
            comments.push(comment.trim_start().to_owned());
        } else if let Some(script) = line.strip_prefix("$ ") {
            finish(name, steps.last_mut(), &mut edits);
            let comments = std::mem::take(&mut comments);
            steps.push(Step { comments, script: script.to_owned(), ..Step::default() });
        } else if let Some(step) = steps.last_mut() {
            let Step { usual, unusual, script, .. } = step;
            let exception = !unusual.is_empty();
            let reply = unusual.last_mut().map_or(usual, |(_, reply)| reply);
            if let Some(edit) = Edit::read(line).filter(|_| exception) {
                edits.push(edit);
            } else if let Some(output) = line.strip_prefix("  ") {
                reply.push(output);
            } else if line.is_empty() {
                reply.push("");
            } else if let Some(more) = line.strip_prefix('>') {
                script.push('\n');
                script.push_str(more.strip_prefix(' ').unwrap_or(more));
            } else if let Some(code) = line.strip_prefix("exit ") {
                reply.code = code.parse().unwrap_or_else(|_| wrong());
            } else if let Some(list) = line.strip_prefix("@ ") {
                let minors = read_minors(list).unwrap_or_else(|| wrong());
                finish(name, Some(step), &mut edits);
                step.unusual.push((minors, Reply::default()));
            } else {
                wrong()
            }
        } else if !line.is_empty() {
            wrong()
        }
    }
    finish(name, steps.last_mut(), &mut edits);
    steps
}

/// Completes the last reply of a step.
fn finish(name: &str, step: Option<&mut Step>, edits: &mut Vec<Edit>) {
    let Some(Step { script, usual, unusual, .. }) = step else {
        return;
    };
    let Some((_, reply)) = unusual.last_mut() else {
        usual.tidy();
        return;
    };
    if edits.is_empty() {
        reply.tidy();
    } else {
        let made = edit::apply(&usual.output, edits);
        reply.output =
            made.unwrap_or_else(|| panic!("{name}: an exception of {script:?} doesn't fit"));
        edits.clear();
    }
}

/// Writes a session as [`read`] reads it.
pub fn write(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        for comment in &step.comments {
            let _ = writeln!(text, "{}", format!("# {comment}").trim_end());
        }
        for (index, line) in step.script.lines().enumerate() {
            let prompt = if index == 0 { "$" } else { ">" };
            let _ = writeln!(text, "{}", format!("{prompt} {line}").trim_end());
        }
        write_reply(&mut text, &step.usual, None);
        for (minors, reply) in &step.unusual {
            let _ = writeln!(text, "@ {}", write_minors(minors));
            write_reply(&mut text, reply, Some(&step.usual));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn write_reply(text: &mut String, reply: &Reply, usual: Option<&Reply>) {
    let edits = usual.and_then(|usual| edit::between(&usual.output, &reply.output));
    let lines: Vec<String> = match edits {
        Some(edits) => edits.iter().map(Edit::write).collect(),
        None => reply.output.lines().map(|line| format!("  {line}")).collect(),
    };
    for line in lines {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if reply.code != 0 {
        let _ = writeln!(text, "exit {}", reply.code);
    }
}

/// `1.29-1.31 1.33`.
fn read_minors(list: &str) -> Option<Vec<u32>> {
    let minor = |text: &str| text.strip_prefix("1.")?.parse::<u32>().ok();
    let mut minors = Vec::new();
    for part in list.split_whitespace() {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        minors.extend(minor(first)?..=minor(last)?);
    }
    Some(minors)
}

fn write_minors(minors: &[u32]) -> String {
    let runs = minors.chunk_by(|one, next| one + 1 == *next);
    let texts: Vec<String> = runs
        .map(|run| match run {
            [one] => format!("1.{one}"),
            [first, .., last] => format!("1.{first}-1.{last}"),
            [] => String::new(),
        })
        .collect();
    texts.join(" ")
}

#[test]
fn sessions_are_written_as_they_are_read() {
    let text = "# Twice.\n#\n# And why.\n$ kubectl apply -f - <<EOF\n> a: b\n>\n> EOF\n  one\n\n  two\n\
                @ 1.29-1.31 1.33\n  three\nexit 1\n@ 1.34\n= one\n+ more\n\n$ true\n\n$ false\nexit 2\n";
    let steps = read("text", text);
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[0].script, "kubectl apply -f - <<EOF\na: b\n\nEOF");
    assert_eq!(steps[0].expected(32), &Reply { output: "one\n\ntwo".to_owned(), code: 0 });
    assert_eq!(steps[0].expected(33), &Reply { output: "three".to_owned(), code: 1 });
    assert_eq!(steps[0].expected(34).output, "one\nmore\n\ntwo");
    assert_eq!(steps[2].expected(33).code, 2);
    assert_eq!(write(&steps), text);
}

#[test]
fn the_reply_of_most_versions_is_the_usual_one() {
    let reply = |output: &str| Reply { output: output.to_owned(), code: 0 };
    let mut step = Step::default();
    step.accept(&[
        (29, reply("a")),
        (30, reply("b")),
        (31, reply("a")),
        (32, reply("b")),
        (33, reply("c")),
    ]);
    assert_eq!(step.usual, reply("b"), "the newer of two");
    assert_eq!(step.unusual, [(vec![29, 31], reply("a")), (vec![33], reply("c"))]);
}
