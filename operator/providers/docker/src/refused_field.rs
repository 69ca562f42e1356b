//! Which field of the manifest an engine's refusal speaks of.

/// Words of the engine, in lower case, and the field that they are about. The
/// first that fits counts.
const WORDS: [(&str, &str); 25] = [
    ("range of cpus", "resources.limits.cpu"),
    ("nanocpus", "resources.limits.cpu"),
    ("memory limit", "resources.limits.memory"),
    ("minimum memory", "resources.limits.memory"),
    ("memoryswap", "resources.limits.memory"),
    ("pids limit", "resources.limits.pids"),
    ("shm size", "shmSize"),
    ("ulimit", "ulimits"),
    ("rlimit", "ulimits"),
    ("sysctl", "sysctls"),
    ("bind source path", "volumes"),
    ("device information", "devices"),
    ("device file", "devices"),
    ("apparmor", "securityOpt"),
    ("seccomp", "securityOpt"),
    ("security-opt", "securityOpt"),
    ("capability", "capAdd"),
    ("capabilities", "capAdd"),
    ("unable to find group", "groupAdd"),
    ("log opt", "logging.options"),
    ("log-opt", "logging.options"),
    ("log driver", "logging.driver"),
    ("logging driver", "logging"),
    ("tmpfs", "tmpfs"),
    ("healthcheck", "healthCheck"),
];

/// The field of a service that the engine's words are about, as manifests write
/// it.
pub fn field(words: &str) -> Option<&'static str> {
    let words = words.to_lowercase();
    WORDS.iter().find(|(part, _)| words.contains(part)).map(|(_, field)| *field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_the_words_of_engines() {
        for (words, expected) in [
            (
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
                Some("resources.limits.cpu"),
            ),
            ("Minimum memory limit allowed is 6MB", Some("resources.limits.memory")),
            ("unknown log opt 'max-sizes' for json-file log driver", Some("logging.options")),
            ("error setting rlimit type 7: operation not permitted", Some("ulimits")),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /srv/x",
                Some("volumes"),
            ),
            (
                "error gathering device information while adding custom device \"/dev/x\"",
                Some("devices"),
            ),
            ("invalid mount config", None),
        ] {
            assert_eq!(field(words), expected, "{words}");
        }
    }
}
