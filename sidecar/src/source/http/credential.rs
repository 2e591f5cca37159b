//! Credentials, read from files for each request.

use std::path::Path;

use data_encoding::BASE64;
use hyper::header::HeaderValue;
use sidecar_config::Authorization;

use crate::source::{error::SourceError, file};

/// Returns the value of the `Authorization` header. Its `Debug` output does not show the secret.
pub(crate) fn header(authorization: &Authorization, directory: &Path) -> Result<HeaderValue, SourceError> {
    let (value, file) = match authorization {
        Authorization::Bearer { credentials_file } => {
            let token = file::read(directory, credentials_file)?;
            ([b"Bearer ", token.trim_ascii()].concat(), credentials_file)
        }
        Authorization::Basic { username_file, password_file } => {
            let user = file::read(directory, username_file)?;
            let password = file::read(directory, password_file)?;
            if user.contains(&b':') {
                return Err(SourceError::BadFile {
                    name: username_file.clone(),
                    problem: "contains a colon, which a user name must not",
                });
            }
            // Like Prometheus, trim white space: editors add a line feed at the end of a file.
            let credentials = [user.trim_ascii(), b":", password.trim_ascii()].concat();
            (format!("Basic {}", BASE64.encode(&credentials)).into_bytes(), password_file)
        }
    };
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| SourceError::BadFile {
        name: file.clone(),
        problem: "contains a character that is not allowed in an HTTP header",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    fn directory(files: &[(&str, &[u8])]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn basic() -> Authorization {
        Authorization::Basic { username_file: "user".to_owned(), password_file: "password".to_owned() }
    }

    #[test]
    fn credentials_are_trimmed_and_never_shown() {
        let directory = directory(&[("token", b" s3cret\n"), ("user", b"Aladdin\n"), ("password", b"open sesame\r\n")]);
        let bearer = header(&Authorization::Bearer { credentials_file: "token".to_owned() }, directory.path()).unwrap();
        assert_eq!(bearer.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{bearer:?}").contains("s3cret"));
        // The example of RFC 7617 section 2.
        assert_eq!(header(&basic(), directory.path()).unwrap().as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn invalid_credentials_are_refused_without_showing_them() {
        for (user, token, file) in [(&b"a:b"[..], &b"x"[..], "user"), (b"a", b"s3\ncret", "token")] {
            let directory = directory(&[("user", user), ("password", b"s3cret"), ("token", token)]);
            let authorization = match file {
                "user" => basic(),
                _ => Authorization::Bearer { credentials_file: file.to_owned() },
            };
            let error = header(&authorization, directory.path()).unwrap_err();
            assert!(matches!(&error, SourceError::BadFile { name, .. } if name == file), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3"), "{error:?}");
        }
    }

    #[rstest]
    fn a_file_outside_the_directory_is_not_read(#[values("", ".", "..", "../x", "/etc/passwd", "a/b")] name: &str) {
        let directory = directory(&[]);
        assert!(matches!(file::read(directory.path(), name), Err(SourceError::BadFile { .. })), "{name}");
    }

    #[test]
    fn a_missing_or_too_long_file_is_an_error() {
        let directory = directory(&[("long", &vec![b'x'; (1 << 20) + 1])]);
        let missing = SourceError::UnreadableFile { name: "none".to_owned(), error: std::io::ErrorKind::NotFound };
        assert_eq!(file::read(directory.path(), "none"), Err(missing));
        assert!(matches!(file::read(directory.path(), "long"), Err(SourceError::BadFile { .. })));
    }
}
