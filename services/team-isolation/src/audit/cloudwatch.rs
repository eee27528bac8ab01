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
    use super::*;

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
