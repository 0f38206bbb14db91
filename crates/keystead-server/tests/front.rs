//! The main listener from outside: routes, bodies, limits, shutdown. A stand-in answers in place of the
//! service.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use std::time::Duration;

use keystead_server::{HttpListener, Limits};
use support::{PATIENCE, call, closed, connect, listen, receive, send};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

#[tokio::test]
async fn an_answer_carries_the_headers_of_the_real_service() {
    let (server, _) = listen(Limits::default()).await;
    let mut client = connect(server.address).await;
    send(&mut client, call("x", "abc")).await;
    let response = receive(&mut client).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.body, r#"{"length":3,"sum":294}"#);
    assert_eq!(response.header("content-type"), Some("application/x-amz-json-1.1"));
    assert_eq!(
        response.header("cache-control"),
        Some("no-cache, no-store, must-revalidate, private")
    );
    assert_eq!(response.header("expires"), Some("0"));
    assert_eq!(response.header("pragma"), Some("no-cache"));
    assert!(response.header("date").is_some());
    let id = response.header("x-amzn-requestid").unwrap();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");

    send(&mut client, call("x", "")).await;
    let next = receive(&mut client).await;
    assert_eq!(next.body, r#"{"length":0,"sum":0}"#);
    assert_ne!(next.header("x-amzn-requestid"), Some(id));
}

#[tokio::test]
async fn routes_and_faults_have_their_bodies_and_keep_the_connection() {
    let (server, _) = listen(Limits::default()).await;
    let mut client = connect(server.address).await;
    let unknown = r#"{"__type":"UnknownOperationException"}"#;
    for (request, status, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 200, "ok\n"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404, unknown),
        ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".to_owned(), 404, unknown),
        ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404, unknown),
        (call("fault", "{}"), 500, r#"{"__type":"KMSInternalException"}"#),
        (call("panic", "{}"), 500, r#"{"__type":"KMSInternalException"}"#),
        (call("x", "{}"), 200, r#"{"length":2,"sum":248}"#),
    ] {
        send(&mut client, &request).await;
        let response = receive(&mut client).await;
        assert_eq!((response.status, response.body.as_str()), (status, body), "{request}");
    }
    let metrics = server.metrics().unwrap();
    assert!(metrics.contains("keystead_panics_total 1"), "{metrics}");
    assert!(metrics.contains(r#"requests_total{operation="Stand",outcome="success"} 1"#));
}

#[tokio::test]
async fn what_a_web_page_sends_is_refused() {
    let (server, _) = listen(Limits::default()).await;
    let mut client = connect(server.address).await;
    // A page's own origin included: its host name may have been bound to this address only now.
    for origin in ["http://page.example", "http://localhost:4599", "null", ""] {
        let head = format!("POST / HTTP/1.1\r\nOrigin: {origin}\r\n");
        send(&mut client, call("x", "abc").replace("POST / HTTP/1.1\r\n", &head)).await;
        let response = receive(&mut client).await;
        let expected = (403, r#"{"__type":"AccessDeniedException"}"#);
        assert_eq!((response.status, response.body.as_str()), expected, "{origin}");
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    send(&mut client, call("x", "abc")).await;
    assert_eq!(receive(&mut client).await.status, 200);
}

#[tokio::test]
async fn a_body_in_pieces_is_joined() {
    let (server, _) = listen(Limits { request_body_bytes: 50_000, ..Limits::default() }).await;
    let mut client = connect(server.address).await;
    client.set_nodelay(true).unwrap();
    send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..100 {
        send(&mut client, format!("1F4\r\n{}\r\n", "\u{1}".repeat(500))).await;
    }
    send(&mut client, "0\r\n\r\n").await;
    assert_eq!(receive(&mut client).await.body, r#"{"length":50000,"sum":50000}"#);

    let body = "\u{1}".repeat(50_000);
    send(&mut client, call("x", &body)).await;
    assert_eq!(receive(&mut client).await.body, r#"{"length":50000,"sum":50000}"#);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_politely() {
    let (server, _) = listen(Limits::default()).await;
    let expected = r#"{"__type":"RequestEntityTooLargeException"}"#;
    // One client writes all before it reads; it must find the answer, not a reset.
    let mut client = connect(server.address).await;
    send(&mut client, call("x", &"x".repeat(10_000_000))).await;
    let response = receive(&mut client).await;
    assert_eq!((response.status, response.body.as_str()), (413, expected));
    assert_eq!(response.header("connection"), Some("close"));
    closed(&mut client).await;

    // One sends no length.
    let mut client = connect(server.address).await;
    send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..40 {
        send(&mut client, format!("10000\r\n{}\r\n", "x".repeat(0x10000))).await;
    }
    send(&mut client, "0\r\n\r\n").await;
    assert_eq!(receive(&mut client).await.status, 413);

    // One asks first, and is told without having sent anything.
    let mut client = connect(server.address).await;
    send(
        &mut client,
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n\r\n",
    )
    .await;
    assert_eq!(receive(&mut client).await.status, 413);
    closed(&mut client).await;
}

#[tokio::test]
async fn a_body_beyond_the_drain_limit_ends_the_connection() {
    let limits = Limits { request_body_bytes: 10, drain_bytes: 1000, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let mut client = connect(server.address).await;
    let written = async {
        let block = [b'x'; 65536];
        client
            .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
            .await?;
        for _ in 0..10_000 {
            client.write_all(&block).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    assert!(timeout(PATIENCE, written).await.unwrap().is_err(), "all was taken");
}

#[tokio::test]
async fn bodies_of_all_connections_share_one_memory() {
    let limits =
        Limits { request_body_bytes: 200_000, body_memory_bytes: 400_000, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    // More is announced than there is room for, which harms nobody ...
    let mut holders = Vec::new();
    for _ in 0..20 {
        let mut holder = connect(server.address).await;
        send(&mut holder, format!("{head}{}", "x".repeat(10))).await;
        holders.push(holder);
    }
    let mut client = connect(server.address).await;
    send(&mut client, call("x", "abc")).await;
    assert_eq!(receive(&mut client).await.status, 200);
    // ... and more arrives: each is answered, some of them that there is no room.
    let mut refused = 0;
    for holder in &mut holders[..4] {
        send(holder, "x".repeat(150_000)).await;
    }
    for holder in &mut holders[..4] {
        // Whoever was refused is read to its end, the others are waited for.
        send(holder, "x".repeat(49_990)).await;
        let response = receive(holder).await;
        if response.status == 503 {
            assert_eq!(response.body, r#"{"__type":"ServiceUnavailable"}"#);
            assert_eq!(response.header("connection"), Some("close"));
            refused += 1;
        } else {
            assert_eq!(response.status, 200);
        }
    }
    assert!(refused > 0, "all four bodies were held");
    // Room that was taken is given back.
    drop(holders);
    for _ in 0..5 {
        send(&mut client, call("x", "abc")).await;
        assert_eq!(receive(&mut client).await.status, 200);
    }
    timeout(PATIENCE, async {
        loop {
            let mut client = connect(server.address).await;
            send(&mut client, call("x", &"x".repeat(200_000))).await;
            if receive(&mut client).await.status == 200 {
                break;
            }
        }
    })
    .await
    .expect("room for a body once the others are gone");
}

#[tokio::test]
async fn slow_heads_and_silent_connections_end() {
    let limits = Limits { header_timeout_ms: 100, idle_timeout_ms: 600_000, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let mut silent = connect(server.address).await;
    let mut slow = connect(server.address).await;
    send(&mut slow, "POST / HTTP/1.1\r\nHost").await;
    closed(&mut silent).await;
    closed(&mut slow).await;

    // The same on a connection that has served a request.
    let mut client = connect(server.address).await;
    send(&mut client, call("x", "")).await;
    receive(&mut client).await;
    send(&mut client, "POST / HT").await;
    closed(&mut client).await;
    assert!(server.metrics().unwrap().contains("keystead_connections_timed_out_total 3"));
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_and_ends_with_its_own() {
    let limits = Limits { header_timeout_ms: 50, idle_timeout_ms: 1000, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let mut client = connect(server.address).await;
    send(&mut client, call("x", "")).await;
    receive(&mut client).await;
    let begun = std::time::Instant::now();
    closed(&mut client).await;
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_body_is_answered_and_ends() {
    let limits = Limits { body_timeout_ms: 100, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let mut client = connect(server.address).await;
    send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    let response = receive(&mut client).await;
    assert_eq!(response.status, 408);
    assert_eq!(response.body, r#"{"__type":"RequestTimeoutException"}"#);
    closed(&mut client).await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let limits = Limits { header_bytes: 8192, headers: 10, ..Limits::default() };
    let (server, _) = listen(limits).await;
    let mut client = connect(server.address).await;
    send(&mut client, format!("POST / HTTP/1.1\r\nX: {}", "x".repeat(8192))).await;
    assert_eq!(receive(&mut client).await.status, 431);
    closed(&mut client).await;

    let mut client = connect(server.address).await;
    let many: String = (0..20).map(|number| format!("X-{number}: 1\r\n")).collect();
    send(&mut client, format!("POST / HTTP/1.1\r\n{many}\r\n")).await;
    assert_eq!(receive(&mut client).await.status, 431);
    closed(&mut client).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let (server, _) = listen(Limits { connections: 2, ..Limits::default() }).await;
    let mut first = connect(server.address).await;
    let mut second = connect(server.address).await;
    for client in [&mut first, &mut second] {
        send(client, call("x", "")).await;
        receive(client).await;
    }
    let mut third = connect(server.address).await;
    send(&mut third, call("x", "third")).await;
    // The two are served on while the third waits.
    send(&mut second, call("x", "")).await;
    receive(&mut second).await;
    assert!(server.metrics().unwrap().contains("keystead_connections_accepted_total 2"));
    drop(first);
    assert_eq!(receive(&mut third).await.status, 200);
    assert!(server.metrics().unwrap().contains("keystead_connections_limited_total"));
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_flight() {
    let (server, stand) = listen(Limits::default()).await;
    let address = server.address;
    let mut idle = connect(address).await;
    send(&mut idle, call("x", "")).await;
    receive(&mut idle).await;
    let mut busy = connect(address).await;
    send(&mut busy, call("wait", "")).await;
    stand.entered().await;

    let shutdown = tokio::spawn(server.shutdown());
    closed(&mut idle).await;
    assert!(!shutdown.is_finished());
    stand.gate.add_permits(1);
    let response = receive(&mut busy).await;
    assert_eq!(response.status, 200);
    closed(&mut busy).await;
    assert!(timeout(PATIENCE, shutdown).await.unwrap().unwrap());
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "still listening");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let limits = Limits { shutdown_timeout_ms: 100, ..Limits::default() };
    let (server, stand) = listen(limits).await;
    let mut busy = connect(server.address).await;
    send(&mut busy, call("wait", "")).await;
    stand.entered().await;
    assert!(!timeout(PATIENCE, server.shutdown()).await.unwrap());
}

async fn metrics_show(server: &HttpListener, line: &str) {
    timeout(PATIENCE, async {
        while !server.metrics().unwrap().contains(line) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_operation_that_only_reads_is_dropped_with_its_client() {
    let (server, stand) = listen(Limits::default()).await;
    let mut client = connect(server.address).await;
    send(&mut client, call("wait, reading", "")).await;
    stand.entered().await;
    metrics_show(&server, "keystead_requests_in_flight 1").await;
    drop(client);
    metrics_show(&server, "keystead_requests_in_flight 0").await;
    // Nothing is left for a shutdown to wait for, although nobody opened the gate.
    assert!(timeout(PATIENCE, server.shutdown()).await.unwrap());
    assert_eq!(stand.left.available_permits(), 0);
}

#[tokio::test]
async fn an_operation_runs_to_its_end_without_its_client() {
    let (server, stand) = listen(Limits::default()).await;
    let mut client = connect(server.address).await;
    send(&mut client, call("wait", "")).await;
    stand.entered().await;
    drop(client);
    // The connection is gone for the server too.
    metrics_show(&server, "keystead_connections 0").await;
    // A shutdown waits for the operation all the same.
    let shutdown = tokio::spawn(server.shutdown());
    tokio::task::yield_now().await;
    assert!(!shutdown.is_finished());
    stand.gate.add_permits(1);
    stand.left().await;
    assert!(timeout(PATIENCE, shutdown).await.unwrap().unwrap());
}

#[tokio::test]
async fn rubbish_never_gets_a_5xx() {
    let (server, _) = listen(Limits::default()).await;
    for bytes in [
        &b"\r\n\r\n\r\nnonsense\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
    ] {
        let mut client = connect(server.address).await;
        send(&mut client, bytes).await;
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut client, &mut answer))
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}
