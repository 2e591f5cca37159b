//! Credentials, read from files for each scrape.

use std::path::Path;

use data_encoding::BASE64;
use hyper::header::HeaderValue;
use sidecar_config::Authorization;

use crate::source::{Cause, file};

/// The value of the `Authorization` header. It shows nothing of itself when it is printed.
pub(crate) fn header(authorization: &Authorization, folder: &Path) -> Result<HeaderValue, Cause> {
    let (value, file) = match authorization {
        Authorization::Bearer { credentials_file } => {
            let token = file::read(folder, credentials_file)?;
            ([b"Bearer ", token.trim_ascii()].concat(), credentials_file)
        }
        Authorization::Basic { username_file, password_file } => {
            let user = file::read(folder, username_file)?;
            let password = file::read(folder, password_file)?;
            if user.contains(&b':') {
                return Err(Cause::BadFile {
                    name: username_file.clone(),
                    problem: "has a colon in it, which no user name can have",
                });
            }
            // As Prometheus does: who writes such a file with an editor gets a line feed at its end.
            let credentials = [user.trim_ascii(), b":", password.trim_ascii()].concat();
            (format!("Basic {}", BASE64.encode(&credentials)).into_bytes(), password_file)
        }
    };
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| Cause::BadFile {
        name: file.clone(),
        problem: "has a character in it that no HTTP header can have",
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn basic() -> Authorization {
        Authorization::Basic { username_file: "user".to_owned(), password_file: "password".to_owned() }
    }

    #[test]
    fn credentials_are_sent_without_white_space_at_their_ends_and_never_shown() {
        let folder = folder(&[("token", b" s3cret\n"), ("user", b"Aladdin\n"), ("password", b"open sesame\r\n")]);
        let bearer = header(&Authorization::Bearer { credentials_file: "token".to_owned() }, folder.path()).unwrap();
        assert_eq!(bearer.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{bearer:?}").contains("s3cret"));
        // The example of RFC 7617 section 2.
        assert_eq!(header(&basic(), folder.path()).unwrap().as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn credentials_that_cannot_be_sent_are_refused_without_showing_them() {
        for (user, token, file) in [(&b"a:b"[..], &b"x"[..], "user"), (b"a", b"s3\ncret", "token")] {
            let folder = folder(&[("user", user), ("password", b"s3cret"), ("token", token)]);
            let authorization = match file {
                "user" => basic(),
                _ => Authorization::Bearer { credentials_file: file.to_owned() },
            };
            let error = header(&authorization, folder.path()).unwrap_err();
            assert!(matches!(&error, Cause::BadFile { name, .. } if name == file), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3"), "{error:?}");
        }
    }

    #[rstest]
    fn a_file_elsewhere_is_not_read(#[values("", ".", "..", "../x", "/etc/passwd", "a/b")] name: &str) {
        let folder = folder(&[]);
        assert!(matches!(file::read(folder.path(), name), Err(Cause::BadFile { .. })), "{name}");
    }

    #[test]
    fn a_missing_or_endless_file_is_an_error() {
        let folder = folder(&[("long", &vec![b'x'; (1 << 20) + 1])]);
        let missing = Cause::UnreadableFile { name: "none".to_owned(), error: std::io::ErrorKind::NotFound };
        assert_eq!(file::read(folder.path(), "none"), Err(missing));
        assert!(matches!(file::read(folder.path(), "long"), Err(Cause::BadFile { .. })));
    }
}
