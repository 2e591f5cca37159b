//! Credentials towards a server.

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
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("token", "old-s3cret");
    write("user", "Aladdin");
    let cases = [
        (json!({"bearer": {"credentialsFile": "token"}}), "token", "n3w-s3cret\n"),
        (json!({"basic": {"usernameFile": "user", "passwordFile": "password"}}), "password", "open sesame\n"),
    ];
    for (authorization, file, good) in cases {
        let mut task = task(server.port, json!({"authorization": authorization}), folder.path());
        let refused = task.scrape().await;
        assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
        let reason = if file == "token" {
            "the server answers with status 401"
        } else {
            "cannot read the file \"password\": entity not found"
        };
        assert_eq!(outcome(&refused), Err(reason.to_owned()));
        write(file, good);
        assert_eq!(outcome(&task.scrape().await), Ok(vec!["m 1".to_owned()]));
    }
}
