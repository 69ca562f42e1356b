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

/// Bits for each known piece, of which two are set, so that few others are taken for
/// one; the whole must stay in the processor's nearest caches.
const BITS_PER_PIECE: usize = 16;
const FEWEST_BITS: usize = 1 << 12;
const MOST_BITS: usize = 1 << 19;

/// Knuth's multiplicative hashing: 2³² over the golden ratio.
const FACTOR: u32 = 0x9E37_79B1;

/// Knows what patterns begin with, and which bytes are in none.
pub(crate) struct Filter {
    words: Vec<u64>,
    shift: u32,
    stride: usize,
    used: [bool; 256],
}

impl Filter {
    /// For patterns of which none is shorter than four bytes.
    pub fn new(patterns: &[Vec<u8>]) -> Self {
        let shortest = patterns.iter().map(Vec::len).min().unwrap_or(PIECE);
        let stride = (shortest + 1).saturating_sub(PIECE).clamp(1, MOST_STRIDE);
        let wanted = patterns.len().saturating_mul(stride * BITS_PER_PIECE);
        let words = wanted.clamp(FEWEST_BITS, MOST_BITS).next_power_of_two() / 64;
        let shift = 32 - words.trailing_zeros();
        let mut filter = Self { words: vec![0; words], shift, stride, used: [false; 256] };
        for pattern in patterns {
            for piece in pattern.windows(PIECE).filter_map(|piece| piece.first_chunk()).take(stride)
            {
                let (word, bits) = filter.place(*piece);
                if let Some(word) = filter.words.get_mut(word) {
                    *word |= bits;
                }
            }
            for byte in pattern {
                filter.used[usize::from(*byte)] = true;
            }
        }
        filter
    }

    /// As many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// The word of a piece, and its two bits there.
    fn place(&self, piece: [u8; PIECE]) -> (usize, u64) {
        let hash = u32::from_le_bytes(piece).wrapping_mul(FACTOR);
        // The last bits of a product depend on few bits of the piece.
        let rest = hash >> 7;
        ((hash >> self.shift) as usize, 1 << (rest & 63) | 1 << (rest >> 6 & 63))
    }

    /// Where to search from on, and how far at least: no occurrence that begins at
    /// `at` or later begins before it. The last bytes are to be searched as well if
    /// an occurrence may begin there that goes on in what follows.
    pub fn next(&self, text: &[u8], at: usize) -> (usize, usize) {
        let mut place = at;
        while let Some(piece) = text.get(place..).and_then(|rest| rest.first_chunk()) {
            let (word, bits) = self.place(*piece);
            if self.words.get(word).is_some_and(|word| word & bits == bits) {
                return (at.max((place + 1).saturating_sub(self.stride)), place + 1);
            }
            place += self.stride;
        }
        let last = at.max((place + 1).saturating_sub(self.stride)).min(text.len());
        let tail = text.get(last..).unwrap_or_default();
        let in_none = tail.iter().rposition(|byte| !self.used[usize::from(*byte)]);
        (last + in_none.map_or(0, |position| position + 1), text.len())
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
        assert_eq!(filter.next(&text, 0).0, 1000, "no pattern has a full stop");
    }
}
