//! Streams to addresses of a host's network.

use tokio::io::{AsyncRead, AsyncWrite};

/// A stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream that [`crate::Provider::dial`] opened.
pub type ByteStream = Box<dyn Duplex>;
