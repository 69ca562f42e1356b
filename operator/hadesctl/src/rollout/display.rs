//! Where progress is shown: a block of lines that is drawn over and over on a
//! terminal, a line a change everywhere else.

use std::io::{self, Write};

use crate::terminal::Terminal;

/// Where progress is shown.
pub struct Display<'a> {
    terminal: &'a Terminal,
    /// Lines of the block that stand on the terminal now.
    drawn: usize,
}

impl<'a> Display<'a> {
    /// Of standard error.
    pub fn new(terminal: &'a Terminal) -> Self {
        Self { terminal, drawn: 0 }
    }

    /// Whether a block can be drawn.
    pub fn is_live(&self) -> bool {
        self.terminal.errors_seen()
    }

    /// Adds lines, for good.
    pub fn lines(&self, lines: &[String]) {
        for line in lines {
            self.terminal.note(line);
        }
    }

    /// Draws the block in place of the one before.
    pub fn draw(&mut self, lines: &[String]) {
        let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
        // A line that wraps, or a block that scrolls, could not be drawn over.
        let most = usize::from(height).saturating_sub(1).max(1);
        let lines: Vec<String> =
            lines.iter().take(most).map(|line| cut(line, usize::from(width))).collect();
        let mut text = back(self.drawn);
        for line in &lines {
            text.push_str(&format!("{line}\r\n"));
        }
        self.drawn = lines.len();
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Takes the block away.
    pub fn clear(&mut self) {
        if self.drawn > 0 {
            let _ = io::stderr().write_all(back(self.drawn).as_bytes());
            self.drawn = 0;
        }
    }
}

/// To the beginning of a block of so many lines, with nothing left of it.
fn back(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\u{1b}[{lines}A\r\u{1b}[J"),
    }
}

/// A line that fits, without what would move the cursor.
fn cut(line: &str, width: usize) -> String {
    let plain = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_move_no_cursor() {
        assert_eq!(cut("a\u{1b}[2Jbcdef", 6), "a [2J");
        assert_eq!(cut("äöü", 80), "äöü");
        assert_eq!(back(0), "");
        assert_eq!(back(3), "\u{1b}[3A\r\u{1b}[J");
    }
}
