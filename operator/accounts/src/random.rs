//! Random texts that nobody can guess.

/// The digits of base 62.
pub(crate) const LETTERS: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digits of base 32 that can't be taken for one another (Crockford), small.
const CLEAR: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Random bytes.
///
/// # Errors
/// When the system has none to give.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// `N` letters and digits, each as likely as the others.
///
/// # Errors
/// As [`bytes`].
pub(crate) fn text<const N: usize>() -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(N);
    while text.len() < N {
        // 248 is the largest multiple of 62 in a byte.
        let fair = bytes::<64>()?.into_iter().filter(|&byte| byte < 248);
        text.extend(fair.take(N - text.len()).map(|byte| letter(LETTERS, byte)));
    }
    Ok(text)
}

/// `N` letters and digits to be read and typed by people; five bits each.
///
/// # Errors
/// As [`bytes`].
pub(crate) fn clear_text<const N: usize>() -> Result<String, getrandom::Error> {
    Ok(bytes::<N>()?.into_iter().map(|byte| letter(CLEAR, byte)).collect())
}

fn letter(letters: &[u8], byte: u8) -> char {
    char::from(letters[usize::from(byte) % letters.len()])
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads what [`hex`] wrote.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_length_and_letters() {
        let long = text::<1000>().unwrap();
        assert_eq!(long.len(), 1000);
        assert!(long.bytes().all(|byte| LETTERS.contains(&byte)));
        assert!(clear_text::<16>().unwrap().bytes().all(|byte| CLEAR.contains(&byte)));
        assert_ne!(text::<20>().unwrap(), text::<20>().unwrap());
    }

    #[test]
    fn hexadecimal_reads_back() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
        assert_eq!(unhex::<3>("00ff10"), Some([0, 255, 16]));
        assert_eq!(unhex::<3>("00ff1"), None);
        assert_eq!(unhex::<1>("zz"), None);
    }
}
