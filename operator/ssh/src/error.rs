//! What can go wrong, in words for the person who set the host up.

/// Why something over SSH didn't come about. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing that speaks SSH answers.
    #[error("cannot reach {address} by SSH: {reason}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The server isn't the one whose key is pinned.
    #[error(
        "{address} shows the host key {found}, but {expected} is pinned. If the machine was \
         reinstalled or its keys were changed, read the new key there \
         (`cat /etc/ssh/ssh_host_ed25519_key.pub`) and pin that one; if not, somebody may be \
         listening in between"
    )]
    HostKey {
        /// `host:port`.
        address: String,
        /// Fingerprints of the pinned keys.
        expected: String,
        /// Fingerprint of the key that the server showed.
        found: String,
    },
    /// The server has no key of a pinned kind any more.
    #[error(
        "{address} has no host key of the pinned kind ({expected}). If the machine was \
         reinstalled or its keys were changed, read the new key there \
         (`cat /etc/ssh/ssh_host_ed25519_key.pub`) and pin that one; if not, somebody may be \
         listening in between"
    )]
    HostKeyKind {
        /// `host:port`.
        address: String,
        /// Fingerprints of the pinned keys.
        expected: String,
    },
    /// No host key is pinned, so that no server can be trusted.
    #[error(
        "no host key is pinned for {address}; read it there: `cat /etc/ssh/ssh_host_ed25519_key.pub`"
    )]
    NoHostKey {
        /// `host:port`.
        address: String,
    },
    /// The server lets the key of this user not in.
    #[error(
        "{address} refuses the key {fingerprint} of user {user}: put this line into \
         ~{user}/.ssh/authorized_keys there: {public_key}"
    )]
    Denied {
        /// `host:port`.
        address: String,
        /// Who was to log in.
        user: String,
        /// Fingerprint of the key.
        fingerprint: String,
        /// The public key as a line of `authorized_keys`.
        public_key: String,
    },
    /// The private key can't be used.
    #[error("the private SSH key cannot be used: {reason}")]
    PrivateKey {
        /// Why not.
        reason: String,
    },
    /// A public key can't be read.
    #[error(
        "{text:?} is not a public SSH key: write the kind and the key as in a .pub file, such as \
         `ssh-ed25519 AAAA…`"
    )]
    PublicKey {
        /// What was given.
        text: String,
    },
    /// The server is there, but won't open what it was asked for.
    #[error("{address} does not open {what}: {reason}")]
    Refused {
        /// `host:port`.
        address: String,
        /// A socket, an address or a command.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The connection ended.
    #[error("the SSH connection to {address} was lost")]
    Lost {
        /// `host:port`.
        address: String,
    },
}

impl Error {
    /// Whether only a person can mend it: waiting doesn't.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::HostKey { .. }
            | Self::HostKeyKind { .. }
            | Self::NoHostKey { .. }
            | Self::Denied { .. }
            | Self::PrivateKey { .. }
            | Self::PublicKey { .. } => true,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Lost { .. } => false,
        }
    }
}
