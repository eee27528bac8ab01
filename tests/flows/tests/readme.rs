//! The README is true: every `sh` block of it is run here, line by line as it stands, on the
//! platform of the tests. Blocks that bring up a platform or run the tests are what runs this.

use mlp_flows::Tested;
use mlp_flows::cli::{root, shell};

/// Commands that this very run is, or that would end it.
const ELSEWHERE: [&str; 2] = ["cargo mlp up", "cargo mlp test"];

/// The `sh` blocks of a document, in order.
fn blocks(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut current: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut current, line) {
            (None, "```sh") => current = Some(Vec::new()),
            (Some(lines), "```") => {
                all.push(lines.join("\n"));
                current = None;
            }
            (Some(lines), line) => lines.push(line),
            (None, _) => {}
        }
    }
    all
}

#[test]
fn every_command_of_the_readme_works_as_printed() -> Tested {
    let text = std::fs::read_to_string(root().join("README.md"))?;
    let blocks = blocks(&text);
    assert!(blocks.len() >= 5, "the README's sh blocks are not found");
    let script: Vec<_> = blocks
        .iter()
        .filter(|block| !ELSEWHERE.iter().any(|command| block.contains(command)))
        .map(String::as_str)
        .collect();
    let output = shell(&script.join("\n"), "");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "a command of the README failed\n{out}\n{err}");
    for part in ["research", "TeamIsolated", "mlp.team.api.v1.TeamService", "costCenter"] {
        assert!(out.contains(part), "{part:?} is not in the output:\n{out}\n{err}");
    }
    Ok(())
}
