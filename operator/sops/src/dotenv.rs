//! Reading dotenv files as sops does: `KEY=value` lines without quotes, `\n` for a
//! line break, `#` comments.

use std::collections::HashSet;

use crate::tree::{Budget, Document, Entry, Leaf, Node, Scalar, Tree, check_key};
use crate::{FormatProblem, SopsError};

/// Reads all lines as one document.
pub(crate) fn read(text: &str) -> Result<Tree, SopsError> {
    let mut entries = Vec::new();
    let mut keys = HashSet::new();
    let mut budget = Budget::default();
    let mut start = 0;
    for (line, number) in text.split_inclusive('\n').zip(1_u32..) {
        let span = start..start + line.trim_end_matches('\n').len();
        start += line.len();
        let line = &text[span.clone()];
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        budget.node(number, 1)?;
        let Some((key, value)) = line.split_once('=') else {
            let message = "a line without =".to_owned();
            let problem = FormatProblem::Syntax { format: "dotenv", message };
            return Err(SopsError::format(number, problem));
        };
        check_key(key, number)?;
        if !keys.insert(key) {
            return Err(SopsError::format(number, FormatProblem::duplicate(key)));
        }
        let key_span = span.start..span.start + key.len();
        let value = Leaf {
            value: Scalar::text(value.replace("\\n", "\n")),
            span: key_span.end + 1..span.end,
            line: number,
            flow: false,
        };
        entries.push(Entry {
            key: key.to_owned(),
            key_span,
            value: Node::Leaf(value),
            end: span.end,
        });
    }
    let document = Document { entries, flow: false, span: 0..text.len() };
    Ok(Tree { documents: vec![document] })
}

/// A value as it stands in a line.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\n', "\\n")
}
