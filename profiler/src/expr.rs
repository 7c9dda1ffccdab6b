//! Conditions that people type: `wait.p99 > 5ms and ops >= 1k`, `key ~ user`,
//! `lock.wait.p99 > +20%`.
//!
//! In: text. Out: [`Expr`], and whether the figures of something fulfil it. What a field
//! means is the caller's.

use std::fmt;

use thiserror::Error;

/// Terms that all must hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr(pub(crate) Vec<Term>);

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    /// Where it begins in the text, bytes.
    pub(crate) at: usize,
    /// As it was typed, in lower case: `wait.p99`.
    pub(crate) field: String,
    pub(crate) relation: Relation,
    pub(crate) value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    More,
    AtLeast,
    Less,
    AtMost,
    Equal,
    Unequal,
    /// `~`: the text contains the value, in whatever case.
    Contains,
}

/// Longest first, so that `>=` is not taken for `>`.
const RELATIONS: [(&str, Relation); 8] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("!=", Relation::Unequal),
    ("==", Relation::Equal),
    ("=", Relation::Equal),
    (">", Relation::More),
    ("<", Relation::Less),
    ("~", Relation::Contains),
];

/// What is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `12`, `1.5k`, `3M`.
    Number(f64),
    /// `5ms`, in ns.
    Time(f64),
    /// `20%`: 0.2. Signed: `+20%` and `-5%`, a change.
    Share { of_one: f64, signed: bool },
    /// Anything else, without its quotes.
    Text(String),
}

/// Powers of ten that numbers end in.
const FACTORS: [(&str, f64); 4] = [("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];
/// Units of time in ns; longest first.
const TIMES: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("min", 60e9), ("m", 60e9), ("s", 1e9)];

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} in {text:?}; a condition reads like `wait.p99 > 5ms and ops >= 1k`")]
pub(crate) struct ExprError {
    what: &'static str,
    text: String,
    /// Where that begins in the whole text, bytes.
    pub(crate) at: usize,
}

impl Expr {
    /// Reads `TERM [and TERM]…`.
    pub(crate) fn parse(text: &str) -> Result<Self, ExprError> {
        let terms: Result<Vec<Term>, ExprError> = split_and(text).into_iter().map(term).collect();
        terms.map(Self)
    }

    /// Whether all terms hold of what `field` tells; a term whose field is not known
    /// there does not.
    pub(crate) fn holds(&self, field: impl Fn(&str) -> Option<Figure>) -> bool {
        self.0.iter().all(|term| field(&term.field).is_some_and(|figure| term.holds(&figure)))
    }
}

/// What a field is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Figure {
    /// In its own unit: operations, ns, or 0 to 1.
    Number(f64),
    Text(String),
}

impl Term {
    /// Whether the figure fulfils it. Text is compared with text alone.
    pub(crate) fn holds(&self, figure: &Figure) -> bool {
        match (figure, &self.value) {
            (Figure::Number(figure), value) => {
                value.number().is_some_and(|value| self.relation.holds(*figure, value))
            }
            (Figure::Text(text), value) => self.relation.holds_of_text(text, &value.to_string()),
        }
    }
}

impl Relation {
    pub(crate) fn holds(self, figure: f64, value: f64) -> bool {
        match self {
            Self::More => figure > value,
            Self::AtLeast => figure >= value,
            Self::Less => figure < value,
            Self::AtMost => figure <= value,
            Self::Equal => (figure - value).abs() <= f64::EPSILON * value.abs(),
            Self::Unequal => (figure - value).abs() > f64::EPSILON * value.abs(),
            Self::Contains => false,
        }
    }

    fn holds_of_text(self, text: &str, value: &str) -> bool {
        match self {
            Self::Equal => text == value,
            Self::Unequal => text != value,
            Self::Contains => text.to_lowercase().contains(&value.to_lowercase()),
            Self::More | Self::AtLeast | Self::Less | Self::AtMost => false,
        }
    }
}

impl Value {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) | Self::Time(number) => Some(*number),
            Self::Share { of_one, .. } => Some(*of_one),
            Self::Text(_) => None,
        }
    }

    fn parse(text: &str) -> Self {
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let of = quoted.map(|text| Self::Text(text.to_owned())).or_else(|| Self::of_number(text));
        of.unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    fn of_number(text: &str) -> Option<Self> {
        let number = |text: &str| text.trim_end().parse().ok().filter(|n: &f64| n.is_finite());
        if let Some(percent) = text.strip_suffix('%') {
            let signed = text.starts_with(['+', '-']);
            return Some(Self::Share { of_one: number(percent)? / 100.0, signed });
        }
        let with = |units: &[(&str, f64)]| {
            units.iter().find_map(|(unit, factor)| Some(number(text.strip_suffix(unit)?)? * factor))
        };
        with(&TIMES)
            .map(Self::Time)
            .or_else(|| number(text).or_else(|| with(&FACTORS)).map(Self::Number))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(ns) => f.write_str(&crate::units::time(*ns as u64)),
            Self::Share { of_one, signed: true } => write!(f, "{:+}%", of_one * 100.0),
            Self::Share { of_one, signed: false } => write!(f, "{}%", of_one * 100.0),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The terms between the words `and`; quotes keep what is in them together.
fn split_and(text: &str) -> Vec<(usize, &str)> {
    const AND: &str = " and ";
    let (mut terms, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        quoted ^= c == '"';
        if !quoted && at >= start && text[at..].starts_with(AND) {
            terms.push((start, &text[start..at]));
            start = at + AND.len();
        }
    }
    terms.push((start, &text[start..]));
    terms
}

fn term((start, text): (usize, &str)) -> Result<Term, ExprError> {
    let at = start + (text.len() - text.trim_start().len());
    let wrong = |what| ExprError { what, text: text.trim().to_owned(), at };
    let found = text.char_indices().find_map(|(at, _)| {
        let (sign, relation) = RELATIONS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
        Some((at, at + sign.len(), *relation))
    });
    let (before, after, relation) = found.ok_or_else(|| wrong("no comparison"))?;
    let field = text[..before].trim().to_lowercase();
    let value = text[after..].trim();
    if field.is_empty() {
        return Err(wrong("nothing to compare"));
    }
    if value.is_empty() {
        return Err(wrong("nothing to compare with"));
    }
    Ok(Term { at, field, relation, value: Value::parse(value) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Term {
        Expr::parse(text).unwrap().0.remove(0)
    }

    #[test]
    fn values_have_units() {
        for (text, value) in [
            ("12", Value::Number(12.0)),
            ("1.5k", Value::Number(1500.0)),
            ("3M", Value::Number(3e6)),
            ("5ms", Value::Time(5e6)),
            ("5 ms", Value::Time(5e6)),
            ("2m", Value::Time(120e9)),
            ("250µs", Value::Time(250e3)),
            ("20%", Value::Share { of_one: 0.2, signed: false }),
            ("+20%", Value::Share { of_one: 0.2, signed: true }),
            ("-5%", Value::Share { of_one: -0.05, signed: true }),
            ("user", Value::Text("user".to_owned())),
            ("\"12\"", Value::Text("12".to_owned())),
            ("inf", Value::Text("inf".to_owned())),
        ] {
            assert_eq!(one(&format!("Wait.P99 > {text}")).value, value, "{text}");
        }
        assert_eq!(one("Wait.P99>=5ms").field, "wait.p99");
    }

    #[test]
    fn all_terms_must_hold() {
        let expr = Expr::parse("ops >= 1k and key ~ USER and share < 20%").unwrap();
        let of = |ops: f64, key: &str| {
            let key = key.to_owned();
            expr.holds(move |field| match field {
                "ops" => Some(Figure::Number(ops)),
                "key" => Some(Figure::Text(key.clone())),
                "share" => Some(Figure::Number(0.1)),
                _ => None,
            })
        };
        assert!(of(1000.0, "\"user:42\""));
        assert!(!of(999.0, "\"user:42\"") && !of(1000.0, "order"));
        assert!(!Expr::parse("none > 1").unwrap().holds(|_| None));
    }

    #[test]
    fn quotes_keep_and_and_signs() {
        let expr = Expr::parse("key = \"a and b > c\" and ops > 1").unwrap();
        assert_eq!(expr.0[0].value, Value::Text("a and b > c".to_owned()));
        assert_eq!(expr.0.len(), 2);
    }

    #[test]
    fn terms_know_where_they_are() {
        let expr = Expr::parse(" a > 1 and  b < 2").unwrap();
        assert_eq!(expr.0.iter().map(|term| term.at).collect::<Vec<_>>(), [1, 12]);
        assert_eq!(Expr::parse("a > 1 and b").unwrap_err().at, 10);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, what) in [
            ("", "no comparison"),
            ("wait", "no comparison"),
            ("> 5", "nothing to compare in"),
            ("ops >", "nothing to compare with"),
            ("ops > 1 and ", "no comparison"),
        ] {
            let error = Expr::parse(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_typed_panics(text in any::<String>()) {
            let _ = Expr::parse(&text).map(|expr| expr.holds(|_| Some(Figure::Number(1.0))));
        }
    }
}
