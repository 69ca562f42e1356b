//! How often somebody may do something: a bucket of tokens each, that fills up
//! again with time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets that are kept at once. A full one is the same as none, so that only
/// those count who did something just now.
const MOST: usize = 10_000;

/// The bucket of those who find no room for one of their own. No user has no name.
const CROWD: &str = "";

/// The buckets of many.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    most: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    refused: u64,
}

impl Rates {
    /// So many a second for long, and so many at once.
    pub fn new(per_second: f64, most: f64) -> Self {
        Self { per_second, most, buckets: Mutex::default() }
    }

    fn tokens(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + passed * self.per_second).min(self.most)
    }

    /// Takes a token of somebody: how often he was refused one since he last got
    /// one, or how long it takes until there is one.
    pub fn take(&self, key: &str, now: Instant) -> Result<u64, Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(key) {
            bucket.tokens = self.tokens(bucket, now);
            bucket.at = now;
            if bucket.tokens < 1.0 {
                bucket.refused += 1;
                return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second));
            }
            bucket.tokens -= 1.0;
            return Ok(std::mem::take(&mut bucket.refused));
        }
        if buckets.len() >= MOST {
            buckets.retain(|_, bucket| self.tokens(bucket, now) < self.most);
        }
        if buckets.len() >= MOST && key != CROWD {
            // So many at the same time: they share what one may do.
            drop(buckets);
            return self.take(CROWD, now);
        }
        let bucket = Bucket { tokens: self.most - 1.0, at: now, refused: 0 };
        buckets.insert(key.to_owned(), bucket);
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_fills_again_and_is_one_s_own() {
        let rates = Rates::new(2.0, 3.0);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(rates.take("ann", start), Ok(0));
        }
        assert_eq!(rates.take("ann", start), Err(Duration::from_millis(500)));
        assert_eq!(rates.take("bob", start), Ok(0));
        let later = start + Duration::from_millis(500);
        assert_eq!(rates.take("ann", later), Ok(1), "and one was refused");
        assert!(rates.take("ann", later).is_err());
        let long = start + Duration::from_secs(3600);
        for _ in 0..3 {
            assert!(rates.take("ann", long).is_ok());
        }
        assert!(rates.take("ann", long).is_err());
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let rates = Rates::new(1.0, 2.0);
        let start = Instant::now();
        for index in 0..MOST + 100 {
            let _ = rates.take(&format!("user-{index}"), start);
        }
        assert!(rates.buckets.lock().unwrap().len() <= MOST + 1);
        assert!(rates.take("another", start).is_err(), "the crowd shares");
        let later = start + Duration::from_secs(60);
        assert!(rates.take("another", later).is_ok());
        assert_eq!(rates.buckets.lock().unwrap().len(), 1, "full buckets are forgotten");
    }
}
