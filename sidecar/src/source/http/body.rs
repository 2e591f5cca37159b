//! Bodies, decoded and counted as they come.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::{
    Response,
    body::{Body as _, Incoming},
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};

use super::media_type;
use crate::source::{Cause, Phase};

/// How much compressed input is decoded at a time. It can become a thousand times as much: in between, others have
/// their turn and the timeout its effect.
const GZIP_STEP: usize = 4 << 10;

/// What becomes of the decoded bytes.
pub(super) type Sink<'s> = &'s mut (dyn FnMut(&[u8]) -> Result<(), Cause> + Send);

/// Reads the whole body into `sink`. Neither the bytes that come nor those that they are decoded to may be more than
/// `limit`. Returns whether it is certain that the body is whole: its length was announced, or its end.
pub(super) async fn read(
    response: &mut Response<Incoming>,
    limit: u64,
    phase: &mut Phase,
    sink: Sink<'_>,
) -> Result<bool, Cause> {
    let encoding = media_type::encoding(response.headers())?;
    let delimited = is_delimited(response.headers());
    let too_long = Cause::BodyTooLong { limit };
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
            Decoder::Identity(sink) => sink.take(&data)?,
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

/// Whether the body's end is announced: by its last chunk, or else by its length. With any other transfer coding it ends
/// where the connection does (RFC 9112 section 6.3).
fn is_delimited(headers: &HeaderMap) -> bool {
    match headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        Some(codings) => codings.as_bytes().to_ascii_lowercase().trim_ascii_end().ends_with(b"chunked"),
        None => headers.contains_key(CONTENT_LENGTH),
    }
}

fn gzip_error(decoder: &mut MultiGzDecoder<Limited<'_>>, error: &io::Error) -> Cause {
    decoder.get_mut().failed.take().unwrap_or_else(|| match error.kind() {
        io::ErrorKind::UnexpectedEof => Cause::Gzip("the body was cut off".to_owned()),
        _ => Cause::Gzip(error.to_string()),
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

/// A sink of so many bytes.
struct Limited<'s> {
    sink: Sink<'s>,
    left: u64,
    limit: u64,
    /// Why it took no more, for whoever sees only the [`io::Error`].
    failed: Option<Cause>,
}

impl Limited<'_> {
    fn take(&mut self, data: &[u8]) -> Result<(), Cause> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or(Cause::BodyTooLong { limit: self.limit })?;
        (self.sink)(data)
    }
}

impl Write for Limited<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.failed.is_none() {
            self.failed = self.take(data).err();
        }
        if self.failed.is_some() { Err(io::ErrorKind::Other.into()) } else { Ok(data.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
