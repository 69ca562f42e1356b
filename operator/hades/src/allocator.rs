//! An allocator that gives memory back after a peak: idle memory is a promise.

use std::os::unix::process::CommandExt;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long it keeps what was freed, in milliseconds. By default that is a second
/// and until something else is freed nearby, which when idle means for good: the
/// 19 MiB of a password's hash would stay.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Starts this program anew, as the same process, with memory given back at once.
/// The allocator reads its settings before anything of ours runs. Whoever has set it
/// otherwise is left alone, and so is a system where that can't be done.
pub(crate) fn give_back_at_once() {
    if std::env::var_os(PURGE_DELAY).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "hades".into());
    let mut again = Command::new("/proc/self/exe");
    let error = again.arg0(name).args(arguments).env(PURGE_DELAY, "0").exec();
    eprintln!("hades: freed memory is kept for longer ({PURGE_DELAY}=0 isn't set): {error}");
}
