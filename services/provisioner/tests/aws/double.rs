//! A scripted AWS: answers in order, each for one action, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the double does when its turn comes.
#[derive(Clone, Debug)]
pub struct Answer {
    action: &'static str,
    reply: Option<(u16, String)>,
}

/// An answer of 200 with `inner` as the result of `action`.
pub fn ok(action: &'static str, inner: &str) -> Answer {
    let body = format!(
        "<{action}Response xmlns=\"http://x.amazonaws.com/doc/\"><{action}Result>{inner}</{action}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    );
    Answer { action, reply: Some((200, body)) }
}

/// A refusal of `action`.
pub fn refusal(action: &'static str, status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    );
    Answer { action, reply: Some((status, body)) }
}

/// What a proxy or a broken server says: no code.
pub fn html(action: &'static str, status: u16) -> Answer {
    Answer { action, reply: Some((status, "<html>sorry</html>".to_owned())) }
}

/// The call arrives, and the connection ends without an answer.
pub fn lost(action: &'static str) -> Answer {
    Answer { action, reply: None }
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    journal: Vec<String>,
    unexpected: Vec<String>,
}

/// The server; it ends with the test's runtime.
pub struct Double {
    pub endpoint: String,
    script: Arc<Mutex<Script>>,
}

impl Double {
    /// Starts a server that gives `answers` in order.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let script =
            Arc::new(Mutex::new(Script { answers: answers.into_iter().collect(), ..Script::default() }));
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { endpoint, script }
    }

    /// The bodies of all calls so far; fails unless all answers were given, to the actions meant.
    pub fn journal(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        assert!(
            script.unexpected.is_empty(),
            "calls that the script does not have: {:#?}",
            script.unexpected
        );
        assert!(script.answers.is_empty(), "answers that nobody asked for: {:#?}", script.answers);
        script.journal.clone()
    }
}

/// One call per connection.
async fn serve(stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or_default() == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let Some((status, text)) = next(&script, &String::from_utf8(body).unwrap()) else { return };
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.get_mut().write_all(format!("{head}{text}").as_bytes()).await;
}

fn next(script: &Mutex<Script>, body: &str) -> Option<(u16, String)> {
    let mut script = script.lock().unwrap();
    script.journal.push(body.to_owned());
    match script.answers.pop_front() {
        Some(answer) if body.starts_with(&format!("Action={}&", answer.action)) => answer.reply,
        other => {
            script.unexpected.push(format!("{body}, where {other:?} was meant"));
            Some((400, "<ErrorResponse><Error><Code>NotScripted</Code></Error></ErrorResponse>".to_owned()))
        }
    }
}
