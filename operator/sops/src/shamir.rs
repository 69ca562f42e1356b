//! Shamir's secret sharing over GF(2^8), as sops has it from HashiCorp Vault: a part
//! is a value for each byte of the secret, and last the point that they belong to.

use secrecy::zeroize::Zeroizing;

use crate::SopsError;

/// Parts that a secret can be split into: as many as there are points but zero.
const MAX_PARTS: usize = 255;

/// Splits a secret so that `threshold` of `parts` parts make it again. `random` fills
/// bytes with random ones.
pub(crate) fn split(
    secret: &[u8],
    parts: usize,
    threshold: usize,
    random: impl Fn(&mut [u8]) -> Result<(), SopsError>,
) -> Result<Vec<Zeroizing<Vec<u8>>>, SopsError> {
    if !(2..=MAX_PARTS).contains(&threshold) || !(threshold..=MAX_PARTS).contains(&parts) {
        let problem = "must be at least 2 and at most the number of key groups";
        return Err(SopsError::Metadata { field: "shamir_threshold", problem });
    }
    let mut out: Vec<_> = (0..parts).map(|_| Zeroizing::new(Vec::new())).collect();
    let mut coefficients = Zeroizing::new(vec![0; threshold]);
    for byte in secret {
        random(&mut coefficients)?;
        coefficients[0] = *byte;
        for (point, part) in (1..=u8::MAX).zip(&mut out) {
            let value = coefficients.iter().rev().fold(0, |sum, c| multiply(sum, point) ^ c);
            part.push(value);
        }
    }
    for (point, part) in (1..=u8::MAX).zip(&mut out) {
        part.push(point);
    }
    Ok(out)
}

/// Makes the secret out of parts. None if they can't belong together.
pub(crate) fn combine(parts: &[Zeroizing<Vec<u8>>]) -> Option<Zeroizing<Vec<u8>>> {
    let length = parts.first()?.len().checked_sub(1)?;
    let mut points = Vec::with_capacity(parts.len());
    for part in parts {
        let point = *part.last()?;
        if part.len() != length + 1 || point == 0 || points.contains(&point) {
            return None;
        }
        points.push(point);
    }
    let secret = (0..length)
        .map(|index| {
            parts.iter().zip(&points).fold(0, |sum, (part, point)| {
                let others = points.iter().filter(|other| *other != point);
                let basis = others.fold(1, |basis, other| {
                    multiply(basis, multiply(*other, inverse(*point ^ other)))
                });
                sum ^ multiply(part[index], basis)
            })
        })
        .collect();
    Some(Zeroizing::new(secret))
}

/// Multiplies in GF(2^8) with the polynomial of AES, in the same time for all values.
fn multiply(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0, |product: u8, bit| {
        let carry = 0_u8.wrapping_sub(product >> 7) & 0x1b;
        let addend = 0_u8.wrapping_sub((b >> bit) & 1) & a;
        (product << 1) ^ carry ^ addend
    })
}

/// The inverse, as the power of 254; zero has none and stays.
fn inverse(a: u8) -> u8 {
    let mut power = a;
    let mut result = 1;
    // 254 = 2 + 4 + … + 128
    for _ in 0..7 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(bytes: &mut [u8]) -> Result<(), SopsError> {
        getrandom::fill(bytes).map_err(|_| SopsError::Encrypt("no random numbers"))
    }

    #[test]
    fn any_parts_that_are_enough_make_the_secret_again() {
        let secret: Vec<u8> = (0..32).collect();
        let parts = split(&secret, 5, 3, random).unwrap();
        for chosen in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
            let chosen: Vec<_> = chosen.iter().map(|index| parts[*index].clone()).collect();
            assert_eq!(combine(&chosen).unwrap().as_slice(), secret);
        }
        assert_ne!(combine(&parts[..2]).unwrap().as_slice(), secret, "two of three say nothing");
        assert!(combine(&[parts[0].clone(), parts[0].clone()]).is_none());
        assert!(combine(&[]).is_none());
    }

    #[test]
    fn every_value_has_its_inverse() {
        for value in 1..=u8::MAX {
            assert_eq!(multiply(value, inverse(value)), 1, "{value}");
        }
        // FIPS 197, 4.2.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
    }
}
