//! `ApplicationSet`: from generators to Applications, as Argo CD does it.
//!
//! In reading order: [`parameters`] (what fills a template), [`template`] (filling it), [`selector`], [`generators`]
//! with [`git`] and [`pull_requests`] (where parameters come from), [`made`] (Applications), [`plan`] (what is to be done),
//! [`status`].
//!
//! What must be asked of the world is a [`Need`]: whoever has the world answers it and asks again, with all that is
//! [`Known`] so far.

pub mod generators;
pub mod git;
pub mod made;
pub mod parameters;
pub mod plan;
pub mod pull_requests;
pub mod selector;
pub mod status;
pub mod template;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use parameters::Parameters;
use pull_requests::{PullRequest, Query};

/// The most sets of parameters of one ApplicationSet: Argo CD's own bound for what a status can hold.
pub const MOST: usize = 5_000;

/// What must be known to go on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The folders and files of a repository at a revision.
    Listing {
        /// Address.
        repository: String,
        /// Branch, tag, commit or `HEAD`.
        revision: String,
    },
    /// Contents of files of it.
    Files {
        /// Address.
        repository: String,
        /// Branch, tag, commit or `HEAD`.
        revision: String,
        /// Their paths.
        paths: Vec<String>,
    },
    /// Open pull requests.
    PullRequests(Query),
    /// Go templates, filled: JSON of `template`, `parameters` and `options`.
    Filled(String),
}

/// The answer to a [`Need`].
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Folders and files.
    Listing {
        /// Paths of folders, sorted; not the root.
        folders: Vec<String>,
        /// Paths of files, sorted.
        files: Vec<String>,
    },
    /// Path and text of each file.
    Files(Vec<(String, String)>),
    /// Pull requests.
    PullRequests(Vec<PullRequest>),
    /// One value for each object of parameters.
    Filled(Vec<Value>),
}

/// All that was asked and answered.
pub type Known = BTreeMap<Need, Found>;

/// A cluster that Argo CD's Secrets name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Name.
    pub name: String,
    /// URL of its API server.
    pub server: String,
    /// The project whose own it is; empty for all.
    pub project: String,
    /// Labels of its Secret.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its Secret.
    pub annotations: BTreeMap<String, String>,
}

/// Why there are no Applications (yet).
#[derive(Clone, Debug, PartialEq)]
pub enum Halt {
    /// This must be known first.
    Needs(Need),
    /// The set is wrong; names the field.
    Refused(String),
}

impl Halt {
    fn refused(field: &str, message: impl std::fmt::Display) -> Self {
        Self::Refused(format!("{field}: {message}"))
    }
}

/// What everything is evaluated with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Whether texts are Go templates.
    pub go: bool,
    /// Options of Go templates.
    pub options: &'a [String],
    /// What was found out.
    pub known: &'a Known,
    /// Clusters besides this one, or this one under its own Secret.
    pub clusters: &'a [Cluster],
}

impl Context<'_> {
    fn ask(&self, need: Need) -> Result<&Found, Halt> {
        self.known.get(&need).ok_or(Halt::Needs(need))
    }

    /// The template filled for each set of parameters.
    ///
    /// # Errors
    /// [`Halt::Needs`] where Go must fill it.
    pub fn fill(&self, template: &Value, parameters: &[Parameters]) -> Result<Vec<Value>, Halt> {
        if parameters.is_empty() || !template::is_template(template) {
            return Ok(parameters.iter().map(|_| template.clone()).collect());
        }
        if !self.go {
            return Ok(parameters.iter().map(|one| template::fill(template, one)).collect());
        }
        let input = json!({ "template": template, "parameters": parameters, "options": self.options });
        match self.ask(Need::Filled(input.to_string()))? {
            Found::Filled(values) if values.len() == parameters.len() => Ok(values.clone()),
            _ => Err(Halt::Refused("spec.goTemplate: the templates were not filled".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
