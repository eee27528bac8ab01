//! Globs as Argo CD reads them: `*`, `**`, `?`, `[a-z]`, `[!a]`, `{a,b}` and `\` before any of these.
//!
//! Argo CD matches file paths and namespaces without a separator, so that `*` crosses `/`; for
//! repository URLs `/` separates and only `**` crosses it. Both are here, chosen by the caller.

/// How many alternatives the braces of one pattern may unfold into.
const ALTERNATIVES: usize = 256;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    alternatives: Vec<Vec<Token>>,
}

/// Why a pattern was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `[` without `]`.
    #[error("`[` has no `]`; close it or write `\\[`")]
    OpenClass,
    /// `{` without `}`.
    #[error("`{{` has no `}}`; close it or write `\\{{`")]
    OpenBrace,
    /// Braces unfold into more than 256 patterns.
    #[error("the braces unfold into more than {ALTERNATIVES} patterns; use fewer")]
    TooMany,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyOne,
    Any,
    AnyDeep,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`GlobError`] says what is not closed.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        let characters: Vec<char> = pattern.chars().collect();
        let unfolded = unfold(&characters)?;
        let alternatives = unfolded.iter().map(|part| tokens(part)).collect::<Result<_, _>>()?;
        Ok(Self { alternatives })
    }

    /// Whether the whole text matches, `*` crossing every character.
    pub fn matches(&self, text: &str) -> bool {
        self.test(text, None)
    }

    /// Whether the whole text matches, where `*` and `?` stop at `/`.
    pub fn matches_path(&self, text: &str) -> bool {
        self.test(text, Some('/'))
    }

    /// What matching takes for each character of a text, in steps.
    pub fn cost(&self) -> usize {
        self.alternatives.iter().map(|tokens| tokens.len().max(1)).sum()
    }

    fn test(&self, text: &str, separator: Option<char>) -> bool {
        let characters: Vec<char> = text.chars().collect();
        self.alternatives.iter().any(|tokens| tokens_match(tokens, &characters, separator))
    }
}

/// Dynamic programming over (token, character), so that no pattern costs more than their product.
fn tokens_match(tokens: &[Token], text: &[char], separator: Option<char>) -> bool {
    let mut reachable = vec![false; text.len() + 1];
    if let Some(start) = reachable.first_mut() {
        *start = true;
    }
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        let mut carried = false;
        for (index, target) in next.iter_mut().enumerate() {
            let here = reachable.get(index).copied().unwrap_or(false);
            let previous = index.checked_sub(1);
            let character = previous.and_then(|at| text.get(at)).copied();
            let stepped = previous.and_then(|at| reachable.get(at)).copied().unwrap_or(false);
            *target = match token {
                Token::AnyDeep | Token::Any => {
                    let crosses = matches!(token, Token::AnyDeep) || character != separator;
                    carried = here || (carried && crosses && character.is_some());
                    carried
                }
                _ => stepped && character.is_some_and(|c| one_matches(token, c, separator)),
            };
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or(false)
}

fn one_matches(token: &Token, character: char, separator: Option<char>) -> bool {
    match token {
        Token::Literal(wanted) => *wanted == character,
        Token::AnyOne => Some(character) != separator,
        Token::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
        }
        Token::Any | Token::AnyDeep => true,
    }
}

/// Replaces each `{a,b}` by its alternatives; escapes are left for [`tokens`].
fn unfold(pattern: &[char]) -> Result<Vec<Vec<char>>, GlobError> {
    let mut done: Vec<Vec<char>> = vec![Vec::new()];
    let mut rest = pattern;
    while let Some((first, tail)) = rest.split_first() {
        match first {
            '\\' => {
                let taken = rest.get(..2).unwrap_or(rest);
                done.iter_mut().for_each(|text| text.extend(taken));
                rest = rest.get(2..).unwrap_or(&[]);
            }
            '{' => {
                let (choices, after) = brace(tail)?;
                let mut wider = Vec::new();
                for choice in choices {
                    for inner in unfold(&choice)? {
                        wider.extend(done.iter().map(|text| [text.as_slice(), &inner].concat()));
                    }
                    if wider.len() > ALTERNATIVES {
                        return Err(GlobError::TooMany);
                    }
                }
                done = wider;
                rest = after;
            }
            other => {
                done.iter_mut().for_each(|text| text.push(*other));
                rest = tail;
            }
        }
    }
    Ok(done)
}

type Brace<'a> = (Vec<Vec<char>>, &'a [char]);

/// Splits the inside of a brace at its own commas; returns what follows the brace.
fn brace(inside: &[char]) -> Result<Brace<'_>, GlobError> {
    let (mut choices, mut current, mut depth, mut index) = (Vec::new(), Vec::new(), 0_usize, 0_usize);
    while let Some(character) = inside.get(index) {
        index += 1;
        match character {
            '\\' => {
                current.push('\\');
                current.extend(inside.get(index));
                index += 1;
            }
            ',' if depth == 0 => choices.push(std::mem::take(&mut current)),
            '}' if depth == 0 => {
                choices.push(current);
                return Ok((choices, inside.get(index..).unwrap_or(&[])));
            }
            other => {
                depth = depth + usize::from(*other == '{') - usize::from(*other == '}');
                current.push(*other);
            }
        }
    }
    Err(GlobError::OpenBrace)
}

fn tokens(pattern: &[char]) -> Result<Vec<Token>, GlobError> {
    let (mut found, mut index) = (Vec::new(), 0_usize);
    while let Some(character) = pattern.get(index) {
        index += 1;
        found.push(match character {
            '\\' => {
                index += 1;
                Token::Literal(pattern.get(index - 1).copied().unwrap_or('\\'))
            }
            '*' if pattern.get(index) == Some(&'*') => {
                index += 1;
                Token::AnyDeep
            }
            '*' => Token::Any,
            '?' => Token::AnyOne,
            '[' => {
                let rest = pattern.get(index..).unwrap_or(&[]);
                let length = rest.iter().position(|c| *c == ']').ok_or(GlobError::OpenClass)?;
                index += length + 1;
                class(rest.get(..length).unwrap_or(&[]))
            }
            other => Token::Literal(*other),
        });
    }
    Ok(found)
}

fn class(inside: &[char]) -> Token {
    let negated = matches!(inside.first(), Some('!' | '^'));
    let mut rest = inside.get(usize::from(negated)..).unwrap_or(&[]);
    let mut ranges = Vec::new();
    while let Some(low) = rest.first() {
        let high = match (rest.get(1), rest.get(2)) {
            (Some('-'), Some(high)) => Some(high),
            _ => None,
        };
        ranges.push((*low, *high.unwrap_or(low)));
        rest = rest.get(if high.is_some() { 3 } else { 1 }..).unwrap_or(&[]);
    }
    Token::Class { negated, ranges }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_argo_cd_reads_them() {
        for (pattern, text, whole, path) in [
            ("*.yaml", "app/deploy.yaml", true, false),
            ("**.yaml", "app/deploy.yaml", true, true),
            ("{config,env-*}.json", "env-usw2.json", true, true),
            ("{*.yml,*.yaml}", "a.yml", true, true),
            ("{a,{b,c}}d", "cd", true, true),
            ("deploy?.yaml", "deploy1.yaml", true, true),
            ("[a-c]x", "bx", true, true),
            ("[!a-c]x", "bx", false, false),
            (r"\*", "*", true, true),
            (r"\*", "a", false, false),
            ("", "", true, true),
            ("ml-*", "ml-team", true, true),
            ("https://git.example/**", "https://git.example/a/b", true, true),
            ("https://git.example/*", "https://git.example/a/b", true, false),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert_eq!(glob.matches(text), whole, "{pattern} {text}");
            assert_eq!(glob.matches_path(text), path, "{pattern} {text} by path");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert_eq!(Glob::new("[a"), Err(GlobError::OpenClass));
        assert_eq!(Glob::new("{a,b"), Err(GlobError::OpenBrace));
        assert_eq!(Glob::new(&"{a,b}".repeat(10)), Err(GlobError::TooMany));
    }

    proptest! {
        #[test]
        fn a_literal_matches_itself_only(text in "[a-z/.-]{0,12}", other in "[a-z/.-]{0,12}") {
            let glob = Glob::new(&text).unwrap();
            prop_assert!(glob.matches(&text) && glob.matches_path(&text));
            prop_assert_eq!(glob.matches(&other), text == other);
        }

        #[test]
        fn no_pattern_panics(pattern in ".{0,16}", text in ".{0,16}") {
            if let Ok(glob) = Glob::new(&pattern) {
                let _ = glob.matches(&text);
            }
        }
    }
}
