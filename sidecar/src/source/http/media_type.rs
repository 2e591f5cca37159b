//! The response headers that describe the body.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

use crate::source::{error::SourceError, exposition::Format};

/// The `Accept` header of scrapes. OpenMetrics is preferred to the text format, and UTF-8 names to escaped ones.
pub(super) const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,\
    application/openmetrics-text;version=1.0.0;q=0.9,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.7,\
    text/plain;version=0.0.4;q=0.6,*/*;q=0.1";

/// The content encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// Returns the encoding in `Content-Encoding`.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, SourceError> {
    let encoding = text(headers, &CONTENT_ENCODING).to_ascii_lowercase();
    match encoding.as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        _ => Err(SourceError::ContentEncoding(encoding)),
    }
}

/// Returns the format in `Content-Type`. Without this header it is the text format.
pub(super) fn format(headers: &HeaderMap) -> Result<Format, SourceError> {
    let media_type = content_type(headers);
    let format = match media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "text/plain" => Format::Text,
        "application/openmetrics-text" => Format::OpenMetrics,
        _ => return Err(SourceError::ContentType(media_type)),
    };
    for (name, value) in parameters(&media_type) {
        match name.to_ascii_lowercase().as_str() {
            "charset" => check_utf8(value)?,
            "version" if format == Format::OpenMetrics && !matches!(value, "1.0.0" | "0.0.1") => {
                return Err(SourceError::Version(value.to_owned()));
            }
            _ => {}
        }
    }
    Ok(format)
}

/// Returns the value of `Content-Type`, or an empty string.
pub(in crate::source) fn content_type(headers: &HeaderMap) -> String {
    text(headers, &CONTENT_TYPE)
}

/// Returns an error if `Content-Type` has another charset than UTF-8.
pub(in crate::source) fn check_charset(headers: &HeaderMap) -> Result<(), SourceError> {
    let media_type = content_type(headers);
    let mut charsets = parameters(&media_type).filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
    charsets.try_for_each(|(_, charset)| check_utf8(charset))
}

fn parameters(media_type: &str) -> impl Iterator<Item = (&str, &str)> {
    let parameters = media_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters.map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
}

fn check_utf8(charset: &str) -> Result<(), SourceError> {
    let is_utf8 = charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8");
    if is_utf8 { Ok(()) } else { Err(SourceError::Charset(charset.to_owned())) }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[rstest]
    #[case("", Format::Text)]
    #[case("text/plain", Format::Text)]
    #[case("text/plain; version=0.0.4", Format::Text)]
    #[case("text/plain;version=1.0.0;escaping=allow-utf-8", Format::Text)]
    #[case("Text/Plain; charset=UTF-8", Format::Text)]
    #[case("text/plain; charset=\"utf-8\"", Format::Text)]
    #[case("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics)]
    #[case("application/openmetrics-text", Format::OpenMetrics)]
    fn the_content_type_determines_the_format(#[case] content_type: &str, #[case] expected: Format) {
        assert_eq!(format(&headers(CONTENT_TYPE, content_type)), Ok(expected));
        assert_eq!(format(&HeaderMap::new()), Ok(Format::Text));
    }

    #[rstest]
    #[case("text/html; charset=utf-8", SourceError::ContentType("text/html; charset=utf-8".to_owned()))]
    #[case("application/json", SourceError::ContentType("application/json".to_owned()))]
    #[case("text/plain; charset=ISO-8859-1", SourceError::Charset("ISO-8859-1".to_owned()))]
    #[case("application/openmetrics-text; version=2.0.0", SourceError::Version("2.0.0".to_owned()))]
    fn other_content_types_are_refused(#[case] content_type: &str, #[case] expected: SourceError) {
        assert_eq!(format(&headers(CONTENT_TYPE, content_type)), Err(expected));
    }

    #[test]
    fn only_gzip_is_decoded() {
        assert_eq!(encoding(&HeaderMap::new()), Ok(Encoding::Identity));
        assert_eq!(encoding(&headers(CONTENT_ENCODING, "GZIP")), Ok(Encoding::Gzip));
        assert_eq!(encoding(&headers(CONTENT_ENCODING, "br")), Err(SourceError::ContentEncoding("br".to_owned())));
    }
}
