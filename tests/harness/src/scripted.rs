//! A server of HTTP whose answers a test decides.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The body of a request in; status and body out, or nothing where the answer is lost on the way.
type Script = Mutex<Box<dyn FnMut(&str) -> Option<(u16, String)> + Send>>;

/// The server; it ends with the test's runtime.
#[derive(Debug)]
pub struct Scripted {
    /// Where it answers: `http://127.0.0.1:PORT`.
    pub endpoint: String,
}

impl Scripted {
    /// Starts it. Answers are of this content type, one for each connection.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub async fn start(
        content_type: &'static str,
        script: impl FnMut(&str) -> Option<(u16, String)> + Send + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let script: Arc<Script> = Arc::new(Mutex::new(Box::new(script)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&script);
                // A client that goes away in the middle ends its own connection, and nothing else.
                tokio::spawn(async move { serve(stream, content_type, &script).await });
            }
        });
        Ok(Self { endpoint })
    }
}

async fn serve(stream: TcpStream, content_type: &str, script: &Script) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let answer = {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script(&String::from_utf8_lossy(&body))
    };
    let Some((status, text)) = answer else { return Ok(()) };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.get_mut().write_all(format!("{head}{text}").as_bytes()).await
}
