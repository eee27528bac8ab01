//! `ApplicationSet`: from generators to Applications, as Argo CD does it.
//!
//! In reading order: [`budget`] (how much it may take), [`parameters`] (what fills a template), [`template`] (filling it), [`selector`], [`generators`]
//! with [`git`] and [`pull_requests`] (where parameters come from), [`made`] (Applications), [`plan`] (what is to be done),
//! [`status`].
//!
//! What must be asked of the world is a [`Need`]: whoever has the world answers it and asks again, with all that is
//! [`Known`] so far.

pub mod budget;
pub mod generators;
pub mod git;
pub mod made;
pub mod news;
pub mod parameters;
pub mod plan;
pub mod pull_requests;
pub mod selector;
pub mod status;
pub mod template;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use budget::Budget;
use parameters::Parameters;
use pull_requests::{PullRequest, Query};

use super::project::Tenant;

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
        /// The commit that was listed.
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
        /// The commit, in full.
        revision: String,
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

impl Found {
    /// What it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let texts = |all: &[String]| all.iter().map(|text| text.len() + 32).sum::<usize>();
        match self {
            Self::Listing { folders, files, .. } => texts(folders) + texts(files),
            Self::Files(all) => all.iter().map(|(path, text)| path.len() + text.len() + 64).sum(),
            Self::PullRequests(all) => all.iter().map(|one| one.title.len() + 512).sum(),
            Self::Filled(all) => all.iter().map(budget::size).sum(),
        }
    }
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

/// The clusters that a set may see: where they are and how they are labelled is the platform's.
pub fn visible(clusters: Vec<Cluster>, tenant: Option<&Tenant>) -> Vec<Cluster> {
    if tenant == Some(&Tenant::Platform) { clusters } else { Vec::new() }
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
    /// What it may still take.
    pub budget: &'a Budget,
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
        if !self.go || parameters.is_empty() || !template::is_template(template) {
            let filled = parameters.iter().map(|one| {
                let filled = if self.go { template.clone() } else { template::fill(template, one) };
                self.budget.hold(&filled)?;
                Ok(filled)
            });
            return filled.collect();
        }
        let input = json!({ "template": template, "parameters": parameters, "options": self.options });
        match self.ask(Need::Filled(input.to_string()))? {
            Found::Filled(values) if values.len() == parameters.len() => {
                values.iter().try_for_each(|value| self.budget.hold(value))?;
                Ok(values.clone())
            }
            _ => Err(Halt::Refused("spec.goTemplate: the templates were not filled".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
