//! Ends that nobody asked for.
