//! HTML: text that is escaped unless it was written here.

use std::fmt::{self, Display, Formatter};

/// A text to be put into HTML, between tags or in a quoted attribute.
pub(super) struct Text<T>(pub T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (before, special) = rest.split_at(at);
            f.write_str(before)?;
            f.write_str(match special.as_bytes()[0] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &special[1..];
        }
        f.write_str(rest)
    }
}

/// A paragraph that says what is wrong, and that a screen reader reads first.
pub(super) fn alert(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("<p class=\"alert\" role=\"alert\">{}</p>", Text(text)),
    }
}

/// A field of a form that isn't shown.
pub(super) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", Text(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_becomes_a_tag_or_an_attribute() {
        let text = "<a href='x' b=\"y\">&amp;ü";
        assert_eq!(Text(text).to_string(), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;ü");
        assert_eq!(alert(""), "");
        assert_eq!(
            hidden("next", "\"><x>"),
            "<input type=\"hidden\" name=\"next\" value=\"&quot;&gt;&lt;x&gt;\">"
        );
    }
}
