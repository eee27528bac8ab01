//! jq expressions of `ignoreDifferences`: which fields they name.
//!
//! Argo CD deletes `del(EXPRESSION)` and stops an expression after a second. No interpreter in a thread can be
//! stopped, so what is understood here ends by itself: an expression only goes down into an object. It has no
//! definitions, variables, reductions or arithmetic, and what would multiply its results is bounded. Values are
//! asked for with `path(EXPRESSION)` and deleted by us, because jaq's own `del` fails where a parent is absent.

use std::fmt;
use std::sync::Arc;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::path::{Part, Path as TermPath};
use jaq_core::{Compiler, Ctx, Native, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use serde_json::Value;

/// Longest expression, in bytes.
const LONGEST: usize = 1_000;
/// Brackets within each other, of whatever kind.
const DEEPEST: usize = 16;
/// Operators and words that open something: the parser calls itself for each, and a stack has an end.
const MOST_OPERATORS: usize = 64;
/// Commas and alternatives in one expression: each may double what comes out.
const MOST_BRANCHES: usize = 8;
/// For how many of them `..` counts: one after another it visits an object once for each of its ancestors.
const DESCENT: usize = 4;
/// Fields that one expression may name in one object.
const MOST_PATHS: usize = 10_000;

/// Filters that end and make nothing larger: (name, number of arguments).
const KNOWN: [(&str, usize); 52] = [
    ("all", 0),
    ("all", 1),
    ("all", 2),
    ("any", 0),
    ("any", 1),
    ("any", 2),
    ("arrays", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("booleans", 0),
    ("contains", 1),
    ("empty", 0),
    ("endswith", 1),
    ("false", 0),
    ("first", 0),
    ("first", 1),
    ("getpath", 1),
    ("has", 1),
    ("in", 1),
    ("index", 1),
    ("inside", 1),
    ("isempty", 1),
    ("iterables", 0),
    ("keys", 0),
    ("keys_unsorted", 0),
    ("last", 0),
    ("last", 1),
    ("length", 0),
    ("ltrimstr", 1),
    ("map", 1),
    ("not", 0),
    ("null", 0),
    ("nulls", 0),
    ("numbers", 0),
    ("objects", 0),
    ("recurse", 0),
    ("rtrimstr", 1),
    ("scalars", 0),
    ("select", 1),
    ("split", 1),
    ("startswith", 1),
    ("strings", 0),
    ("test", 1),
    ("test", 2),
    ("to_entries", 0),
    ("tojson", 0),
    ("tonumber", 0),
    ("tostring", 0),
    ("trim", 0),
    ("true", 0),
    ("type", 0),
    ("values", 0),
];
/// Of those, the ones whose arguments are run on the input, and not for each of its results.
const RUNS_ITS_ARGUMENT: [&str; 7] = ["all", "any", "first", "isempty", "last", "map", "select"];

type Data = data::JustLut<Val>;

/// An expression that was understood.
#[derive(Clone)]
pub struct Expression {
    text: String,
    filter: Arc<jaq_core::compile::Filter<Native<Data>>>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(formatter)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What in it is not understood, in words that follow the name of its field.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes; split it"));
        }
        if depth(text) > DEEPEST {
            return Err(format!("has brackets {} deep, more than {DEEPEST}; write a path", depth(text)));
        }
        if operators(text) > MOST_OPERATORS {
            return Err(format!("has more than {MOST_OPERATORS} operators; split it"));
        }
        let unreadable = || format!("`{text}` is no jq expression");
        let term = jaq_core::load::parse(text, |parser| parser.term()).ok_or_else(unreadable)?;
        let mut branches = 0;
        check(&term, &mut branches).map_err(|what| {
            format!("`{text}` has {what}, which is not supported; name the fields by a path and `select`")
        })?;
        if branches > MOST_BRANCHES {
            return Err(format!("`{text}` has more than {MOST_BRANCHES} alternatives; split it"));
        }
        let code = format!("path({text})");
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let funs = jaq_core::funs::<Data>().chain(jaq_std::funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let modules =
            Loader::new(defs).load(&arena, File { code: &*code, path: () }).map_err(|_| unreadable())?;
        let filter = Compiler::default().with_funs(funs).compile(modules).map_err(|_| unreadable())?;
        Ok(Self { text: text.to_owned(), filter: Arc::new(filter) })
    }

    /// The fields of the object that the expression names. One that meets what it did not expect names none, as
    /// with Argo CD.
    pub fn paths(&self, object: &Value) -> Vec<Vec<Step>> {
        let Ok(input) = read::parse_single(object.to_string().as_bytes()) else { return Vec::new() };
        let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([]));
        let found = self.filter.id.run((context, input)).map(unwrap_valr).take(MOST_PATHS);
        let found: Result<Vec<_>, _> = found.collect();
        found.unwrap_or_default().iter().filter_map(steps).collect()
    }
}

/// How deep brackets stand within each other; those in strings count as well.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => now += 1,
            b')' | b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// How many operators and words that open something there are at most.
fn operators(text: &str) -> usize {
    let signs = text.bytes().filter(|byte| b"|,/+-*%=<>!?".contains(byte)).count();
    let words = [
        "try", "catch", "if", "elif", "then", "else", "and", "or", "as", "def", "reduce", "foreach", "label",
        "break",
    ];
    let word = |part: &&str| words.contains(part);
    signs + text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(word).count()
}

fn steps(path: &Val) -> Option<Vec<Step>> {
    let parts: Vec<Value> = serde_json::from_str(&path.to_string()).ok()?;
    let step = |part: Value| match part {
        Value::String(key) => Some(Step::Key(key)),
        part => Some(Step::Index(usize::try_from(part.as_u64()?).ok()?)),
    };
    parts.into_iter().map(step).collect()
}

/// Refuses what might not end, or might make much of little.
fn check(term: &Term<&str>, branches: &mut usize) -> Result<(), String> {
    match term {
        Term::Id | Term::Num(_) | Term::Arr(None) => Ok(()),
        Term::Recurse => {
            *branches += DESCENT;
            Ok(())
        }
        Term::Str(None, parts) if parts.iter().all(|part| !matches!(part, StrPart::Term(_))) => Ok(()),
        Term::Str(..) => Err("a format or an interpolation".to_owned()),
        Term::Arr(Some(inner)) | Term::Neg(inner) => check(inner, branches),
        Term::BinOp(left, operator, right) => {
            match operator {
                BinaryOp::Pipe(None) => {}
                BinaryOp::Comma | BinaryOp::Alt => *branches += 1,
                BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {
                    single(left)?;
                    single(right)?;
                }
                BinaryOp::Pipe(Some(_)) => return Err("a variable".to_owned()),
                BinaryOp::Math(_) => return Err("arithmetic".to_owned()),
                _ => return Err("an assignment".to_owned()),
            }
            check(left, branches)?;
            check(right, branches)
        }
        Term::IfThenElse(cases, otherwise) => {
            *branches += cases.len();
            for (condition, then) in cases {
                single(condition)?;
                check(condition, branches)?;
                check(then, branches)?;
            }
            otherwise.as_deref().map_or(Ok(()), |term| check(term, branches))
        }
        Term::TryCatch(tried, None) => check(tried, branches),
        Term::Call(name, arguments) => {
            if !KNOWN.contains(&(name, arguments.len())) {
                return Err(format!("`{name}`"));
            }
            *branches += if *name == "recurse" { DESCENT } else { 0 };
            for argument in arguments {
                if !RUNS_ITS_ARGUMENT.contains(name) {
                    single(argument)?;
                }
                check(argument, branches)?;
            }
            Ok(())
        }
        Term::Path(from, TermPath(parts)) => {
            check(from, branches)?;
            for (part, _) in parts {
                match part {
                    Part::Index(index) => {
                        single(index)?;
                        check(index, branches)?;
                    }
                    Part::Range(None, None) => {}
                    Part::Range(..) => return Err("a slice".to_owned()),
                }
            }
            Ok(())
        }
        Term::Var(_) | Term::Def(..) => Err("a variable or a definition".to_owned()),
        Term::Fold(..) => Err("a reduction".to_owned()),
        Term::Label(..) | Term::Break(_) | Term::TryCatch(..) => Err("a label or `catch`".to_owned()),
        Term::Obj(_) => Err("an object".to_owned()),
    }
}

/// Refuses what may have several results where each is combined with each of another.
fn single(term: &Term<&str>) -> Result<(), String> {
    let several = || Err("several results in a comparison or an argument".to_owned());
    match term {
        Term::Recurse | Term::BinOp(_, BinaryOp::Comma | BinaryOp::Alt, _) => several(),
        Term::Call("recurse", _) => several(),
        Term::Call("select", arguments) => arguments.iter().try_for_each(single),
        Term::BinOp(left, _, right) => single(left).and_then(|()| single(right)),
        Term::Path(from, TermPath(parts)) => {
            if parts.iter().any(|(part, _)| matches!(part, Part::Range(..))) {
                return several();
            }
            single(from)
        }
        Term::Neg(inner) | Term::TryCatch(inner, _) => single(inner),
        Term::IfThenElse(cases, otherwise) => {
            cases.iter().try_for_each(|(_, then)| single(then))?;
            otherwise.as_deref().map_or(Ok(()), single)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(text: &str, object: &Value) -> Vec<String> {
        let paths = Expression::read(text).unwrap().paths(object);
        let word = |step: &Step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        };
        paths.iter().map(|path| path.iter().map(word).collect::<Vec<_>>().join("/")).collect()
    }

    #[test]
    fn what_people_write_names_fields() {
        let webhooks = json!({"webhooks": [{"name": "a", "clientConfig": {"caBundle": "x"}}, {"name": "b"}]});
        assert_eq!(
            named(".webhooks[]?.clientConfig.caBundle", &webhooks),
            ["webhooks/0/clientConfig/caBundle", "webhooks/1/clientConfig/caBundle"]
        );
        assert_eq!(named(r#".webhooks[] | select(.name == "b")"#, &webhooks), ["webhooks/1"]);
        assert_eq!(named(r#".metadata.annotations["a/b"]"#, &json!({})), ["metadata/annotations/a/b"]);
        let pods = json!({"spec": {"containers": [{"name": "main"}, {"name": "istio-proxy"}], "initContainers": []}});
        let injected = r#".spec.initContainers[]?, .spec.containers[] | select(.name | test("^istio-"))"#;
        assert_eq!(named(injected, &pods), ["spec/containers/1"]);
        assert_eq!(named(r#"..|select(type == "string")"#, &pods).len(), 2);
        assert_eq!(named(r#".spec | if has("x") then .x else .containers end"#, &pods), ["spec/containers"]);
    }

    #[test]
    fn what_meets_something_else_names_nothing() {
        assert!(named(".webhooks[].name", &json!({"webhooks": null})).is_empty());
        assert!(named(".spec.x | length", &json!({})).is_empty(), "a value is no field");
    }

    #[test]
    fn what_might_not_end_is_refused_by_name() {
        for (text, what) in [
            ("def f: f; f", "definition"),
            ("repeat(.)", "`repeat`"),
            ("last(range(1e12))", "`range`"),
            ("until(false; .)", "`until`"),
            (".a as $x | .b", "variable"),
            ("reduce .[] as $x (0; .)", "reduction"),
            (r#".a | select(("x" * 1000000000) == .)"#, "arithmetic"),
            ("select([.[]] == [.[]] and .[] == .[])", "several results"),
            ("has(.a[], .b[])", "several results"),
            ("env", "`env`"),
            ("input", "`input`"),
            ("$ENV.PATH", "variable"),
            (".a = 1", "assignment"),
            (".a[1:3]", "slice"),
            (".a |", "no jq expression"),
            (".,.,.,.,.,.,.,.,.,.,.", "alternatives"),
            (".. | .. | ..", "alternatives"),
        ] {
            let refused = Expression::read(text).unwrap_err();
            assert!(refused.contains(what), "{text}: {refused}");
        }
        assert!(Expression::read(&".a".repeat(600)).unwrap_err().contains("longer"));
    }

    #[test]
    fn a_pattern_that_backtracking_would_not_end_ends() {
        let object = json!({"name": format!("{}b", "a".repeat(200)), "x": 1});
        assert!(named(r#"select(.name | test("^(a+)+$")) | .x"#, &object).is_empty());
        assert_eq!(named(r#"select(.name | test("^(a|a)*b$")) | .x"#, &object), ["x"]);
    }

    #[test]
    fn no_expression_is_deeper_than_the_stack() {
        for (open, close) in [
            ("[", "]"),
            ("(", ")"),
            (".[", "]"),
            ("-", ""),
            ("try ", ""),
            ("not|", ""),
            ("select(", ")"),
            ("{a:", "}"),
        ] {
            let depth = LONGEST / (open.len() + close.len()).max(1) - 2;
            let nested = format!("{}.{}", open.repeat(depth), close.repeat(depth));
            drop(Expression::read(&nested));
            drop(Expression::read(&open.repeat(depth)));
            // As deep as it may be, with as many operators as there may be.
            let most = format!("{}{}.{}", "(".repeat(15), "-".repeat(64), ")".repeat(15));
            drop(Expression::read(&most));
            drop(Expression::read(&format!("{}{}{}", "[".repeat(15), "not|".repeat(60), "]".repeat(15))));
            drop(Expression::read(&format!("{}{}", "try (".repeat(16), "not|".repeat(40))));
        }
        assert!(Expression::read(&"[".repeat(17)).unwrap_err().contains("17 deep"));
        assert!(Expression::read(&"try ".repeat(65)).unwrap_err().contains("operators"));
    }
}
