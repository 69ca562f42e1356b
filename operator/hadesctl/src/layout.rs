//! Text in columns.

use serde_json::Value;

/// Between columns.
const GAP: usize = 3;

/// Widths of columns, which only grow, so that rows that come later line up
/// with those above.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Makes room for these rows.
    pub fn fit(&mut self, rows: &[Vec<String>]) {
        for row in rows {
            for (index, cell) in row.iter().enumerate() {
                let width = cell.chars().count();
                match self.widths.get_mut(index) {
                    Some(known) => *known = (*known).max(width),
                    None => self.widths.push(width),
                }
            }
        }
    }

    /// A row, without blanks at its end.
    pub fn row(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            line.push_str(cell);
            let width = self.widths.get(index).copied().unwrap_or_default() + GAP;
            let blanks = width.saturating_sub(cell.chars().count());
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Rows in columns, each line indented by `indent` blanks.
pub fn columns(rows: &[Vec<String>], indent: usize) -> String {
    let mut columns = Columns::default();
    columns.fit(rows);
    let margin = " ".repeat(indent);
    rows.iter().map(|row| format!("{margin}{}\n", columns.row(row))).collect()
}

/// A cell of a table of the server.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // One row is one line.
        Value::String(text) => text.replace('\n', " "),
        other => other.to_string(),
    }
}

/// `text` with every line indented by `indent` blanks.
pub fn indented(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{margin}{line}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    #[test]
    fn lines_up() {
        let text = columns(&rows(&[&["NAME", "READY"], &["production", "ä"], &["x", ""]]), 2);
        assert_eq!(text, "  NAME         READY\n  production   ä\n  x\n");
    }

    #[test]
    fn widths_only_grow() {
        let mut columns = Columns::default();
        columns.fit(&rows(&[&["long name", "1"]]));
        columns.fit(&rows(&[&["x", "2"]]));
        assert_eq!(columns.row(&rows(&[&["x", "2"]])[0]), "x           2");
    }
}
