//! Small probes of readiness: does something listen, does a page answer well.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One probe may take this long.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// Whether something accepts connections on the loopback port.
pub async fn accepts(port: u16) -> bool {
    let connect = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    tokio::time::timeout(PROBE_LIMIT, connect).await.is_ok_and(|connected| connected.is_ok())
}

/// Whether `GET path` on the loopback port answers with a 2xx.
pub async fn answers(port: u16, path: &str) -> bool {
    get(port, path).await.is_some_and(|(status, _)| (200..300).contains(&status))
}

/// Status and body of `GET path` on the loopback port, in plain HTTP; `None` when nobody answers.
pub async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    tokio::time::timeout(PROBE_LIMIT, exchange(port, path)).await.ok().flatten()
}

async fn exchange(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut bytes).await.ok()?;
    let answer = String::from_utf8_lossy(&bytes);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
