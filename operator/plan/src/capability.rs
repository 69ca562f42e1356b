//! Capabilities of Linux, by the names that manifests have for them.

/// Every capability there is.
pub(crate) const ALL: &str = "ALL";

/// Docker's own set: what every container has unless it drops it.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// All others: what a process can do with them reaches beyond what it needs for
/// itself, with many of them to the host.
const FURTHER: [&str; 27] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Without the `CAP_` that some write in front.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("CAP_").unwrap_or(name)
}

/// Whether every container has it.
pub(crate) fn is_default(short: &str) -> bool {
    DEFAULT.contains(&short)
}

/// Whether there is a capability of that name, or it stands for all.
pub(crate) fn is_known(short: &str) -> bool {
    short == ALL || is_default(short) || FURTHER.contains(&short)
}

/// Every name, for suggestions.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = DEFAULT.iter().chain(&FURTHER).map(ToString::to_string).collect();
    names.sort();
    names
}
