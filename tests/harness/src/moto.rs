//! moto, from PyPI: AWS' protocols on a free port of this machine.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::{HarnessError, python};

/// The version that these tests were written against.
const PACKAGES: &str = "moto[server]==5.2.5\n";
/// Time for Python to import moto and to listen.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that ends with this value.
#[derive(Debug)]
pub struct Moto {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    _child: Child,
}

impl Moto {
    /// Starts a server on a free port of its own choice.
    ///
    /// # Errors
    /// Python or moto cannot be had, or the server does not listen; the message has the remedy.
    pub async fn start() -> Result<Self, HarnessError> {
        let failed = |why: String| HarnessError::Example { language: "Python", why };
        let python = python::environment("moto", PACKAGES).await?;
        let mut command = Command::new(python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(format!("moto: {error}")))?;
        let output = child.stderr.take().ok_or_else(|| failed("moto has no output".to_owned()))?;
        let mut lines = BufReader::new(output).lines();
        let mut said = Vec::new();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, url)) = line.split_once("Running on ") {
                    return Ok(url.trim().to_owned());
                }
                said.push(line);
            }
            Err(failed(format!("moto ended before it listened: {}", said.join("; "))))
        };
        let endpoint = tokio::time::timeout(START_TIMEOUT, listening).await;
        let endpoint = endpoint.map_err(|_| failed("moto did not listen in a minute".to_owned()))??;
        // Its log of requests has to go somewhere, or the pipe fills and it stops.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { endpoint, _child: child })
    }
}
