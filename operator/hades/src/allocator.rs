//! How memory goes back to the system after a peak.

use std::time::Duration;

/// How long a peak may stay after it is over.
const ROUND: Duration = Duration::from_secs(15);

/// Large enough for pages of its own inside the allocator. They are never
/// touched, so that the system has nothing to hand out.
const NUDGE: usize = 1 << 20;

/// Allocates and frees a block now and then, for ever.
///
/// mimalloc gives back what is free when it frees a further page, and only what
/// has been free for a second. A server that turns quiet after a long list would
/// keep the memory of that list until the next request.
pub(crate) async fn tend() {
    loop {
        tokio::time::sleep(ROUND).await;
        drop(std::hint::black_box(Vec::<u8>::with_capacity(NUDGE)));
    }
}
