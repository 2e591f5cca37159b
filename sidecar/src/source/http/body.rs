//! Response bodies, decompressed and limited while they are received.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::{
    Response,
    body::{Body as _, Incoming},
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};

use super::media_type;
use crate::source::error::{Phase, SourceError};

/// The number of compressed bytes that are decompressed without yielding. They can become a thousand times as many
/// bytes; yielding lets other tasks run and the timeout take effect.
const GZIP_STEP: usize = 4 << 10;

/// The receiver of the decompressed bytes.
pub(super) type Sink<'s> = &'s mut (dyn FnMut(&[u8]) -> Result<(), SourceError> + Send);

/// Receives the whole body into `sink`. `limit` applies to the bytes before and after decompression.
///
/// Returns whether the body is certainly complete, because its length or end was announced.
pub(super) async fn read(
    response: &mut Response<Incoming>,
    limit: u64,
    phase: &mut Phase,
    sink: Sink<'_>,
) -> Result<bool, SourceError> {
    let encoding = media_type::encoding(response.headers())?;
    let delimited = is_delimited(response.headers());
    let too_long = SourceError::BodyTooLong { limit };
    if response.body().size_hint().lower() > limit {
        return Err(too_long);
    }
    let mut decoder = Decoder::new(encoding, Limited { sink, left: limit, limit, failed: None });
    let mut received = 0;
    *phase = Phase::ReadingBody { received };
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        received += data.len() as u64;
        *phase = Phase::ReadingBody { received };
        if received > limit {
            return Err(too_long);
        }
        match &mut decoder {
            Decoder::Identity(sink) => sink.push(&data)?,
            Decoder::Gzip(decoder) => {
                for step in data.chunks(GZIP_STEP) {
                    decoder.write_all(step).map_err(|error| gzip_error(decoder, &error))?;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    if let Decoder::Gzip(decoder) = &mut decoder {
        decoder.try_finish().map_err(|error| gzip_error(decoder, &error))?;
    }
    Ok(delimited)
}

/// Returns whether the end of the body is announced, by a last chunk or by the length. With any other transfer coding
/// the body ends with the connection (RFC 9112 section 6.3).
fn is_delimited(headers: &HeaderMap) -> bool {
    match headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        Some(codings) => codings.as_bytes().to_ascii_lowercase().trim_ascii_end().ends_with(b"chunked"),
        None => headers.contains_key(CONTENT_LENGTH),
    }
}

fn gzip_error(decoder: &mut MultiGzDecoder<Limited<'_>>, error: &io::Error) -> SourceError {
    decoder.get_mut().failed.take().unwrap_or_else(|| match error.kind() {
        io::ErrorKind::UnexpectedEof => SourceError::Gzip("the body is truncated".to_owned()),
        _ => SourceError::Gzip(error.to_string()),
    })
}

enum Decoder<'s> {
    Identity(Limited<'s>),
    Gzip(Box<MultiGzDecoder<Limited<'s>>>),
}

impl<'s> Decoder<'s> {
    fn new(encoding: media_type::Encoding, sink: Limited<'s>) -> Self {
        match encoding {
            media_type::Encoding::Identity => Self::Identity(sink),
            media_type::Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
        }
    }
}

/// A sink with a limit.
struct Limited<'s> {
    sink: Sink<'s>,
    left: u64,
    limit: u64,
    /// The error of the sink. [`Write`] can only return an [`io::Error`].
    failed: Option<SourceError>,
}

impl Limited<'_> {
    fn push(&mut self, data: &[u8]) -> Result<(), SourceError> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or(SourceError::BodyTooLong { limit: self.limit })?;
        (self.sink)(data)
    }
}

impl Write for Limited<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.failed.is_none() {
            self.failed = self.push(data).err();
        }
        if self.failed.is_some() { Err(io::ErrorKind::Other.into()) } else { Ok(data.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
