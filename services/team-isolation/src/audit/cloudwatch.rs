//! CloudWatch Logs, where EKS writes the API server's audit log.

use std::collections::{HashSet, VecDeque};

use aws_sdk_cloudwatchlogs::Client;
use jiff::Timestamp;
use mlp_aws::{Source, Unconfigured, chain};

/// Streams of a log group that hold the audit log, as EKS names them.
const STREAMS: &str = "kube-apiserver-audit";
/// Refusals, and what audited rules found; only these are handed out by CloudWatch.
const PATTERN: &str = r#"?"\"code\":403" ?"/findings\"""#;
/// Events arrive some seconds after their time, and not in order: so far back, in milliseconds, is read again.
const OVERLAP: i64 = 60_000;
/// Pages that are read at once; what is left comes with the next look.
const PAGES: usize = 10;
/// Events that are known to have been read. More than that in one overlap are read twice, which only counts a
/// refusal twice.
const KNOWN: usize = 10_000;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloudWatchError {
    /// Region or credentials are missing.
    #[error(transparent)]
    Unconfigured(#[from] Unconfigured),
    /// CloudWatch refused the call, or did not answer.
    #[error("logs:FilterLogEvents on {group}: {said}")]
    Call {
        /// The log group.
        group: String,
        /// What CloudWatch said, or what failed on the way.
        said: String,
    },
}

/// Reads what is added to the audit streams of one log group.
pub(super) struct Group {
    name: String,
    source: Source,
    client: Option<Client>,
    /// Everything up to here was read, in milliseconds since 1970.
    read_to: i64,
    /// A pass that goes on with the next look: where it stands, and when it began.
    pass: Option<Pass>,
    known: Known,
}

/// One pass over what is new, page by page.
#[derive(Clone)]
struct Pass {
    from: i64,
    began: i64,
    token: Option<String>,
}

impl Group {
    /// Skips what is older than `now`.
    pub(super) fn from(name: String, source: Source, now: Timestamp) -> Self {
        let read_to = now.as_millisecond();
        Self { name, source, client: None, read_to, pass: None, known: Known::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Events that were added since the last look; a pass that takes more pages than one look goes on with the
    /// next, and what fails is asked for again.
    pub(super) async fn lines(&mut self) -> Result<Vec<String>, CloudWatchError> {
        let client = self.client().await?;
        let began = Timestamp::now().as_millisecond();
        let mut pass = self.pass.clone().unwrap_or(Pass { from: self.read_to - OVERLAP, began, token: None });
        let mut lines = Vec::new();
        for _ in 0..PAGES {
            let call = client.filter_log_events().log_group_name(&self.name).log_stream_name_prefix(STREAMS);
            let call = call.filter_pattern(PATTERN).start_time(pass.from).set_next_token(pass.token.clone());
            let page = match call.send().await {
                Ok(page) => page,
                // What was read is not read again; the pass goes on where it stood, or anew if that is too old.
                Err(_) if !lines.is_empty() => return Ok(lines),
                Err(error) => {
                    self.pass = None;
                    return Err(CloudWatchError::Call { group: self.name.clone(), said: chain(&error) });
                }
            };
            for event in page.events() {
                // moto hands out every stream, whatever the prefix.
                if event.log_stream_name().is_none_or(|stream| !stream.starts_with(STREAMS)) {
                    continue;
                }
                let is_new = event.event_id().is_none_or(|id| self.known.add(id));
                if let (true, Some(message)) = (is_new, event.message()) {
                    lines.push(message.to_owned());
                }
            }
            pass.token = page.next_token().map(str::to_owned);
            if pass.token.is_none() {
                self.read_to = self.read_to.max(pass.began);
                self.pass = None;
                return Ok(lines);
            }
            self.pass = Some(pass.clone());
        }
        Ok(lines)
    }

    async fn client(&mut self) -> Result<Client, CloudWatchError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = Client::new(&mlp_aws::load(&self.source).await?);
        self.client = Some(client.clone());
        Ok(client)
    }
}

/// The ids of the newest events.
#[derive(Default)]
struct Known {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Known {
    /// Whether the id is new.
    fn add(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use mlp_aws::Credentials;
    use mlp_harness::Scripted;
    use serde_json::{Value, json};

    use super::*;

    /// The page that a token asks for: one event, and the token of the next where there is one.
    fn page(token: &str, pages: usize) -> Value {
        let number: usize = token.trim_start_matches('p').parse().unwrap_or_default();
        let event = json!({"eventId": format!("e{number}"), "logStreamName": "kube-apiserver-audit-1", "message": number.to_string()});
        let next = (number + 1 < pages).then(|| format!("p{}", number + 1));
        json!({"events": [event], "nextToken": next})
    }

    /// A group whose pages are asked for by token; tokens in `broken` are refused once for each time they are named.
    async fn group(pages: usize, broken: &[&str]) -> (Group, Arc<Mutex<Vec<String>>>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        let mut broken: Vec<String> = broken.iter().map(|token| (*token).to_owned()).collect();
        let script = move |body: &str| {
            let asked: Value = serde_json::from_str(body).unwrap_or_default();
            let token = asked["nextToken"].as_str().unwrap_or_default().to_owned();
            noted.lock().unwrap().push(token.clone());
            if let Some(position) = broken.iter().position(|one| *one == token) {
                broken.remove(position);
                let refusal =
                    json!({"__type": "InvalidParameterException", "message": "the token is too old"});
                return Some((400, refusal.to_string()));
            }
            Some((200, page(&token, pages).to_string()))
        };
        let server = Scripted::start("application/x-amz-json-1.1", script).await.unwrap();
        let credentials = Credentials::builder().access_key_id("test").secret_access_key("test");
        let source = Source {
            endpoint: Some(server.endpoint),
            region: Some("us-west-2".to_owned()),
            credentials: Some(credentials.provider_name("test").build()),
        };
        (Group::from("group".to_owned(), source, Timestamp::now()), asked)
    }

    #[tokio::test]
    async fn a_pass_of_many_pages_goes_on_with_the_next_look() {
        let (mut group, asked) = group(PAGES + 2, &[]).await;
        let first = group.lines().await.unwrap();
        assert_eq!(first, (0..PAGES).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(group.lines().await.unwrap(), [PAGES.to_string(), (PAGES + 1).to_string()]);
        assert_eq!(asked.lock().unwrap().last(), Some(&format!("p{}", PAGES + 1)), "each page once");
        assert_eq!(asked.lock().unwrap().len(), PAGES + 2);
        assert!(group.pass.is_none(), "the pass is over");
        assert!(group.lines().await.unwrap().is_empty(), "what is known is not handed out again");
    }

    #[tokio::test]
    async fn a_page_that_fails_loses_nothing_and_repeats_nothing() {
        let (mut group, _) = group(4, &["p2", "p2"]).await;
        assert_eq!(group.lines().await.unwrap(), ["0", "1"], "what was read is handed out");
        let error = group.lines().await.unwrap_err().to_string();
        assert!(error.contains("logs:FilterLogEvents on group") && error.contains("too old"), "{error}");
        assert_eq!(group.lines().await.unwrap(), ["2", "3"], "the pass begins anew");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut known = Known::default();
        assert!(known.add("first") && !known.add("first"));
        for number in 0..KNOWN {
            assert!(known.add(&number.to_string()));
        }
        assert_eq!((known.ids.len(), known.order.len()), (KNOWN, KNOWN));
        assert!(known.add("first"), "the oldest is forgotten");
    }
}
