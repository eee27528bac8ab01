//! A git repository served over HTTP by git's own backend, behind a few lines of CGI.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes of a request's head, and of its body.
const MOST: usize = 1 << 20;

/// The server; its threads end with the process.
#[derive(Debug)]
pub struct GitServer {
    /// The repository's address.
    pub url: String,
    requests: Arc<AtomicUsize>,
}

impl GitServer {
    /// Serves the repository whose work tree is `root`; only to whoever sends these basic credentials, where some are
    /// named.
    ///
    /// # Errors
    /// No port can be bound.
    pub fn start(root: PathBuf, authorization: Option<&'static str>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/.git", listener.local_addr()?);
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let root = root.clone();
                std::thread::spawn(move || answer(stream, &root, authorization));
            }
        });
        Ok(Self { url, requests })
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers one request; a client that goes away ends its own connection, and nothing else.
fn answer(mut stream: TcpStream, root: &Path, authorization: Option<&str>) -> Option<()> {
    let (mut head, mut byte) = (Vec::new(), [0_u8]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < MOST {
        stream.read_exact(&mut byte).ok()?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).ok()?;
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.to_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned))
    };
    let sent = head.lines().find_map(|line| line.split_once(": Basic ").map(|(_, sent)| sent));
    if authorization.is_some_and(|wanted| sent != Some(wanted)) {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes()).ok();
    }
    let mut request = head.lines().next()?.split(' ');
    let (method, target) = (request.next()?, request.next()?);
    let (path, arguments) = target.split_once('?').unwrap_or((target, ""));
    let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length.min(MOST)];
    stream.read_exact(&mut body).ok()?;
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", arguments)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
        .env("GIT_PROTOCOL", header("git-protocol").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    backend.stdin.take()?.write_all(&body).ok()?;
    let output = backend.wait_with_output().ok()?.stdout;
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n").ok()?;
    stream.write_all(&output).ok()
}
