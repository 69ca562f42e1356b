//! Passes over text in which nothing can be.
//!
//! Four bytes of the text out of every few are looked up among the four-byte pieces
//! that the patterns begin with. An occurrence has one of them in its first bytes,
//! wherever it lies.

/// Bytes of a piece.
const PIECE: usize = 4;

/// With more bytes between two looks there would be more pieces to know, and more
/// text that looks as if.
const MOST_STRIDE: usize = 8;

/// Bits for each known piece, so that few others are taken for one; the whole must
/// stay in the processor's nearest caches.
const BITS_PER_PIECE: usize = 16;
const FEWEST_BITS: usize = 1 << 12;
const MOST_BITS: usize = 1 << 20;

/// Knuth's multiplicative hashing: 2³² over the golden ratio.
const FACTOR: u32 = 0x9E37_79B1;

/// Knows what patterns begin with.
pub(crate) struct Filter {
    bits: Vec<u64>,
    shift: u32,
    stride: usize,
}

impl Filter {
    /// For patterns of which none is shorter than four bytes.
    pub fn new(patterns: &[Vec<u8>]) -> Self {
        let shortest = patterns.iter().map(Vec::len).min().unwrap_or(PIECE);
        let stride = (shortest + 1).saturating_sub(PIECE).clamp(1, MOST_STRIDE);
        let wanted = patterns.len().saturating_mul(stride * BITS_PER_PIECE);
        let size = wanted.clamp(FEWEST_BITS, MOST_BITS).next_power_of_two();
        let mut filter =
            Self { bits: vec![0; size / 64], shift: 32 - size.trailing_zeros(), stride };
        for pattern in patterns {
            for piece in pattern.windows(PIECE).take(stride) {
                let bit = filter.bit(piece);
                if let Some(word) = filter.bits.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        filter
    }

    fn bit(&self, piece: &[u8]) -> usize {
        let mut bytes = [0; PIECE];
        bytes.copy_from_slice(piece);
        (u32::from_le_bytes(bytes).wrapping_mul(FACTOR) >> self.shift) as usize
    }

    /// Where to search from on, and how far at least: no occurrence that begins at
    /// `at` or later begins before it. Its last bytes are always to be searched, as
    /// more may follow.
    pub fn next(&self, text: &[u8], at: usize) -> (usize, usize) {
        let mut place = at;
        while let Some(piece) = text.get(place..place + PIECE) {
            let bit = self.bit(piece);
            if self.bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1) {
                return (at.max((place + 1).saturating_sub(self.stride)), place + 1);
            }
            place += self.stride;
        }
        (at.max((place + 1).saturating_sub(self.stride)), text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_of_a_pattern_is_passed_over() {
        let patterns = [b"abcdefgh".to_vec(), b"0123456789abcdef".to_vec()];
        let filter = Filter::new(&patterns);
        for pattern in &patterns {
            for before in 0..40 {
                for length in 0..=pattern.len() {
                    let mut text = vec![b' '; before];
                    text.extend_from_slice(&pattern[..length]);
                    let (from, _) = filter.next(&text, 0);
                    assert!(from <= before, "{before} {length} {from}");
                }
            }
        }
        let text = vec![b'.'; 1000];
        assert!(filter.next(&text, 0).0 > 990);
    }
}
