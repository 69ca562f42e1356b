//! No core dumps: what is in memory, values of Secrets and keys among it, never gets to
//! the disk by a crash.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process and, by the limit, of those that it starts. Other
/// processes of its user can't look into its memory any more, either.
pub(crate) fn forbid() {
    // Less than before is never refused.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // The limit doesn't count where the system pipes dumps into a program.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn this_process_is_never_dumped_and_can_still_look_at_itself() {
        forbid();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        // The allocator starts the program anew from there.
        std::fs::File::open("/proc/self/exe").unwrap();
    }
}
