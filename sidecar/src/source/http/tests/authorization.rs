//! Credentials of requests.

use hyper::StatusCode;
use serde_json::json;

use super::server::{Server, outcome, page, task};

#[tokio::test]
async fn credentials_are_read_for_each_scrape_and_never_shown() {
    let server = Server::start(None, |request| {
        let sent = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let mut response = page("text/plain", "m 1\n");
        // `Aladdin:open sesame` is the example of RFC 7617.
        if !matches!(sent, Some("Bearer n3w-s3cret" | "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")) {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        response
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
    write("token", "old-s3cret");
    write("user", "Aladdin");
    let cases = [
        (json!({"bearer": {"credentialsFile": "token"}}), "token", "n3w-s3cret\n"),
        (json!({"basic": {"usernameFile": "user", "passwordFile": "password"}}), "password", "open sesame\n"),
    ];
    for (authorization, file, good) in cases {
        let mut task = task(server.port, json!({"authorization": authorization}), directory.path());
        let refused = task.collect().await;
        assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
        let reason = if file == "token" {
            "the server returned status 401"
        } else {
            "cannot read the file \"password\": entity not found"
        };
        assert_eq!(outcome(&refused), Err(reason.to_owned()));
        write(file, good);
        assert_eq!(outcome(&task.collect().await), Ok(vec!["m 1".to_owned()]));
    }
}

#[tokio::test]
async fn credentials_are_not_sent_to_the_target_of_a_redirect() {
    let other = Server::start(None, |_| page("text/plain", "m 1\n")).await;
    let location = format!("http://127.0.0.1:{}/metrics", other.port);
    let server = Server::start(None, move |_| {
        let mut response = page("text/plain", "");
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert("location", location.parse().unwrap());
        response
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "s3cret").unwrap();
    let authorization = json!({"authorization": {"bearer": {"credentialsFile": "token"}}});
    let error = outcome(&task(server.port, authorization, directory.path()).collect().await).unwrap_err();
    assert!(error.ends_with("(status 307); redirects are not followed"), "{error}");
    assert_eq!((server.connections(), other.connections()), (1, 0));
}
