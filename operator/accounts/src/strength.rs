//! Strength: which passwords are refused, as NIST SP 800-63B advises: short ones,
//! what everybody takes, and the user's own name. No rules about characters.

/// The shortest password.
pub const SHORTEST: usize = 12;

/// The longest, in bytes: hashing takes longer for more.
pub const LONGEST: usize = 1024;

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Shorter than [`SHORTEST`].
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    /// Longer than [`LONGEST`].
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// Little besides the user's name.
    #[error("the password is little more than the user's name")]
    Name,
    /// One of the first that anybody would try.
    #[error("the password is one of the first that anybody would try; take some random words")]
    Common,
}

/// What the most common passwords are made of, by the lists of leaked ones. What
/// is left of a password without digits and signs is compared with these, and
/// with these written several times.
const COMMON: [&str; 46] = [
    "abc",
    "abcdef",
    "abcdefgh",
    "admin",
    "administrator",
    "asdf",
    "asdfgh",
    "asdfghjkl",
    "azerty",
    "baseball",
    "changeme",
    "changeit",
    "default",
    "demo",
    "docker",
    "dragon",
    "football",
    "guest",
    "hades",
    "hello",
    "helloworld",
    "iloveyou",
    "letmein",
    "login",
    "master",
    "monkey",
    "mypassword",
    "pass",
    "passw",
    "password",
    "passwort",
    "princess",
    "qazwsx",
    "qwer",
    "qwert",
    "qwerty",
    "qwertyuiop",
    "qwertz",
    "root",
    "secret",
    "starwars",
    "sunshine",
    "superman",
    "test",
    "welcome",
    "zxcvbnm",
];

/// Refuses a password that a guesser finds soon.
///
/// # Errors
/// Why it is refused.
pub fn check(user: &str, password: &str) -> Result<(), Weakness> {
    if password.chars().count() < SHORTEST {
        return Err(Weakness::Short);
    }
    if password.len() > LONGEST {
        return Err(Weakness::Long);
    }
    let small = password.to_lowercase();
    let core = letters(&small);
    let plain: String = core.chars().map(plain_letter).collect();
    let name: String = user.to_lowercase();
    if !name.is_empty() && small.replace(&name, "").chars().count() < SHORTEST / 2 {
        return Err(Weakness::Name);
    }
    if is_common(&core) || is_common(&plain) || is_a_run(&small) {
        return Err(Weakness::Common);
    }
    Ok(())
}

/// The letter that people write as this sign.
fn plain_letter(sign: char) -> char {
    match sign {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// The letters at the ends of which digits and signs were put.
fn letters(text: &str) -> String {
    text.trim_matches(|sign: char| !sign.is_alphabetic()).to_owned()
}

fn is_common(letters: &str) -> bool {
    letters.is_empty() || COMMON.iter().any(|word| letters.replace(word, "").is_empty())
}

/// Whether each character follows from the one before: the same, the next or the
/// one before that.
fn is_a_run(text: &str) -> bool {
    let numbers: Vec<i64> = text.chars().map(|sign| i64::from(u32::from(sign))).collect();
    let steps = numbers.windows(2).filter(|pair| (pair[1] - pair[0]).abs() <= 1).count();
    steps * 4 >= numbers.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_would_try_is_refused() {
        for (password, weakness) in [
            ("", Weakness::Short),
            ("short-pass1", Weakness::Short),
            ("elf zeichen", Weakness::Short),
            ("password1234", Weakness::Common),
            ("P@ssw0rd!!!!!", Weakness::Common),
            ("123456789012", Weakness::Common),
            ("918273645546", Weakness::Common),
            ("qwertyuiop12", Weakness::Common),
            ("adminadminadmin", Weakness::Common),
            ("aaaaaaaaaaaa", Weakness::Common),
            ("abcdefghijklmnop", Weakness::Common),
            ("jane.doe12345", Weakness::Name),
            ("Jane.Doe-jane.doe", Weakness::Name),
        ] {
            assert_eq!(check("jane.doe", password), Err(weakness), "{password}");
        }
        assert_eq!(check("jane", &"x y".repeat(400)), Err(Weakness::Long));
    }

    #[test]
    fn anything_else_is_taken() {
        for password in [
            "correct horse battery staple",
            "Tr0ub4dor&3 zwölf",
            "my password is long enough",
            "päßwörter sind schön",
            "k7HqP2mXw9Lz",
            "jane.doe likes trees",
        ] {
            assert_eq!(check("jane.doe", password), Ok(()), "{password}");
        }
    }
}
