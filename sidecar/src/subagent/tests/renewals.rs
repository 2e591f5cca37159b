//! Tokens that end, and connections that follow one another.

use agentx::{Body, CloseReason, ResponseError};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::server::TlsStream;

use super::{
    masters::{Running, eventually},
    peer::{A, Peer, oid, value, within},
    tls_master::{Master, agreed, token},
};
use crate::subagent::{MasterStatus, RegistrationState, SessionState};

type Session = Peer<TlsStream<TcpStream>>;

/// A sidecar whose session serves [`A`], and whose token is to be renewed in two seconds and ends in so many. The file
/// has the next one already.
async fn served(ends_in: f64) -> (Master, Running, Session) {
    let mut master = Master::new().await;
    // Four fifths of its life are over in two seconds.
    let left = ends_in - 2.0;
    master.show(token("first", 4.0 * left - 2.0, ends_in));
    let running = master.sidecar();
    let mut old = master.peer().await;
    old.grant(A).await;
    master.show(token("second", 0.0, 3600.0));
    (master, running, old)
}

/// Answers the Open and gives the Register of [`A`].
async fn registering(new: &mut Session) -> agentx::Pdu {
    loop {
        let pdu = new.receive().await.unwrap();
        if matches!(&pdu.body, Body::Register(register) if register.subtree == oid(A)) {
            return pdu;
        }
        new.answer(&pdu, ResponseError::NoError).await;
    }
}

async fn taken_over(running: &Running) {
    let taken_over = |status: &MasterStatus| {
        let sessions = status.sessions();
        let [session] = &sessions[..] else { panic!("{sessions:?}") };
        assert_eq!(session.state, SessionState::Open, "there is no gap to be seen");
        session.registrations.iter().all(|r| r.state == RegistrationState::Registered)
            && session.counts.connects == 2
            && session.last_error.is_none()
    };
    eventually(&running.status, "the new one counts", taken_over).await;
}

#[tokio::test]
async fn a_newer_token_takes_over_on_a_new_connection_before_the_old_one_closes() {
    let (master, running, mut old) = served(200.0).await;
    // The new connection shows the new token.
    let mut new = master.peer().await;
    assert_eq!(old.get_next(A).await, value(A, b"xxx"));
    let register = registering(&mut new).await;
    assert_eq!(old.get_next(A).await, value(A, b"xxx"), "until the new one has registered");
    // A master that queues says yes while it still asks the old one.
    new.answer(&register, ResponseError::NoError).await;
    assert_eq!(new.get_next(A).await, value(A, b"xxx"), "and from then on the new one answers");
    old.expect_close().await;
    assert_eq!(new.get_next(A).await, value(A, b"xxx"));
    taken_over(&running).await;
    tokio::join!(running.stop(), new.expect_close());
}

#[tokio::test]
async fn an_old_session_that_the_master_closes_meanwhile_leaves_the_new_one() {
    let (master, running, mut old) = served(200.0).await;
    let mut new = master.peer().await;
    let register = registering(&mut new).await;
    new.answer(&register, ResponseError::DuplicateRegistration).await;
    assert_eq!(old.get_next(A).await, value(A, b"xxx"), "a master that does not queue goes on with the old one");
    let again = new.receive().await.unwrap();
    assert!(matches!(again.body, Body::Register(_)), "{again:?}");
    let close = old.request();
    old.send(close, Body::Close(CloseReason::Other)).await;
    assert_eq!(old.receive().await, None);
    new.answer(&again, ResponseError::NoError).await;
    taken_over(&running).await;
    assert_eq!(new.get_next(A).await, value(A, b"xxx"));
    running.stop().await;
}

#[tokio::test]
async fn at_the_end_of_its_token_the_old_session_closes_though_the_new_one_stands_by() {
    let (master, running, mut old) = served(9.0).await;
    let mut new = master.peer().await;
    let master_of_new = async {
        // Denied until the old one is gone.
        let register = registering(&mut new).await;
        new.answer(&register, ResponseError::DuplicateRegistration).await;
        loop {
            let pdu = new.receive().await.unwrap();
            new.answer(&pdu, ResponseError::DuplicateRegistration).await;
        }
    };
    tokio::select! {
        () = old.expect_close() => {}
        () = within("the old one to close", master_of_new) => {}
    }
    let again = new.receive().await.unwrap();
    new.answer(&again, ResponseError::NoError).await;
    taken_over(&running).await;
    running.stop().await;
}

#[tokio::test]
async fn a_new_connection_that_is_refused_leaves_the_old_one_and_is_tried_again() {
    let (master, running, mut old) = served(200.0).await;
    let mut refused = master.asked().await;
    refused.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n").await.unwrap();
    let shows = |status: &MasterStatus| {
        status.sessions()[0].last_error.as_deref()
            == Some("no connection with a newer token: the master answered 401 Unauthorized: no")
    };
    eventually(&running.status, "the refusal shows", shows).await;
    assert_eq!(running.status.sessions()[0].state, SessionState::Open);
    assert_eq!(old.get_next(A).await, value(A, b"xxx"));
    let pings = async {
        loop {
            let ping = old.receive().await.unwrap();
            if matches!(ping.body, Body::Close(_)) {
                old.answer(&ping, ResponseError::NoError).await;
                return;
            }
            old.answer(&ping, ResponseError::NoError).await;
        }
    };
    let again = async {
        let mut new = agreed(master.asked().await).await;
        new.grant(A).await;
        new
    };
    let ((), mut new) = tokio::join!(within("the old one to close", pings), again);
    assert_eq!(new.get_next(A).await, value(A, b"xxx"));
    taken_over(&running).await;
    running.stop().await;
}

#[tokio::test]
async fn the_end_closes_both_connections() {
    let (master, running, mut old) = served(200.0).await;
    let mut new = master.peer().await;
    let open = new.receive().await.unwrap();
    new.answer(&open, ResponseError::NoError).await;
    let register = new.receive().await.unwrap();
    let ends = async {
        let close = new.receive().await.unwrap();
        assert_eq!(close.body, Body::Close(CloseReason::Shutdown), "{register:?}");
        new.answer(&close, ResponseError::NoError).await;
    };
    tokio::join!(running.stop(), old.expect_close(), ends);
}

#[tokio::test]
async fn a_session_that_ends_with_its_token_is_opened_anew_with_the_newer_one() {
    let mut master = Master::new().await;
    master.show(token("first", 1.0, 3600.0));
    let running = master.sidecar();
    let mut old = master.peer().await;
    old.grant(A).await;
    master.show(token("second", 0.0, 3600.0));
    let close = old.request();
    old.send(close, Body::Close(CloseReason::Other)).await;
    master.peer().await.grant(A).await;
    assert_eq!(running.status.sessions()[0].counts.connects, 2);
    running.stop().await;
}
