//! What image registries are asked: digests and tags.
