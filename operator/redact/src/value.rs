//! Which values are looked for.

/// Fewer characters than this are in too many words: hiding them would make text
/// unreadable and tell the value by what is hidden.
pub const MIN_CHARACTERS: usize = 6;

/// Without the white space around it: most values that come out of files end with a
/// line end that programs drop.
pub(crate) fn trimmed(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// Whether a value isn't looked for because it is too short. Nobody looks for an
/// empty one.
#[must_use]
pub fn is_too_short(value: &[u8]) -> bool {
    let value = trimmed(value);
    !value.is_empty() && characters(value) < MIN_CHARACTERS
}

/// Characters of a text, bytes of anything else.
pub(crate) fn characters(value: &[u8]) -> usize {
    std::str::from_utf8(value).map_or(value.len(), |text| text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_is_counted_in_characters_without_white_space_around() {
        assert!(is_too_short(b"hunte") && !is_too_short(b"hunter"));
        assert!(is_too_short(b"hunte\n") && is_too_short("äöüäö".as_bytes()));
        assert!(!is_too_short(b"") && !is_too_short(b" \n"));
        assert!(is_too_short(&[0xff; 5]) && !is_too_short(&[0xff; 6]));
    }
}
