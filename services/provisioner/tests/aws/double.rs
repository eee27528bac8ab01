//! A scripted AWS: answers in order, each for one action, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use mlp_harness::Scripted;

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
        let script =
            Arc::new(Mutex::new(Script { answers: answers.into_iter().collect(), ..Script::default() }));
        let shared = Arc::clone(&script);
        let server = Scripted::start("text/xml", move |body| next(&shared, body)).await.unwrap();
        Self { endpoint: server.endpoint, script }
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
