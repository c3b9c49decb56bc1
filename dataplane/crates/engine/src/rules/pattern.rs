//! Regular expressions over names: compiled into a table with one step for each byte, so that no pattern costs more than
//! the name is long, whatever is asked. A pattern whose table would be too large is refused when the policy is compiled.
//!
//! What is searched is the name as text (RFC 1035 section 5.1): lower case, labels between dots, no dot at the end; `.`
//! for the root. A dot or backslash within a label has a backslash before it, and what is not printable ASCII stands as
//! three decimal digits behind one. Case plays no role. A match may be anywhere in the name unless `^` and `$` say more.

use std::fmt::Display;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};

/// Bytes of the longest name as text: every one of 255 as four, at most.
const MAX_TEXT: usize = 4 * wire::name::MAX_NAME;
/// Bytes that the table of one selector may have, and what is needed to make it.
const MOST: usize = 1 << 20;
/// Bytes of the automaton before it becomes a table.
const MOST_NFA: usize = 1 << 20;
/// How deep groups may be nested.
const DEPTH: u32 = 64;

/// One or several patterns; a name matches if one does.
#[derive(Debug)]
pub(crate) struct Pattern {
    table: dense::DFA<Vec<u32>>,
}

impl Pattern {
    /// # Errors
    /// Which pattern is wrong, and where.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(true).nest_limit(DEPTH);
        for pattern in patterns {
            syntax::parse_with(pattern, &syntax).map_err(|error| describe(pattern, &error))?;
        }
        let table = dense::Builder::new()
            .syntax(syntax)
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MOST_NFA)))
            .configure(
                dense::Config::new()
                    .match_kind(MatchKind::All)
                    .start_kind(StartKind::Unanchored)
                    .dfa_size_limit(Some(MOST))
                    .determinize_size_limit(Some(4 * MOST)),
            )
            .build_many(patterns)
            .map_err(|_| format!("the patterns {patterns:?} would need a table of more than {MOST} bytes"))?;
        Ok(Self { table })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.memory_usage()
    }

    /// Whether the name, in wire form, matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let mut buffer = [0; MAX_TEXT];
        let length = text(name, &mut buffer);
        let input = Input::new(&buffer[..length]).earliest(true);
        matches!(self.table.try_search_fwd(&input), Ok(Some(_)))
    }
}

/// The first line of what the parser says is the pattern again; the last one is what is wrong.
fn describe(pattern: &str, error: &impl Display) -> String {
    let shown = error.to_string();
    let place = shown.lines().find_map(|line| line.find('^')).and_then(|column| column.checked_sub(4));
    let what = shown.lines().last().unwrap_or_default().trim_start_matches("error: ");
    match place {
        Some(place) => format!("the pattern {pattern:?} is wrong at character {}: {what}", place + 1),
        None => format!("the pattern {pattern:?} is wrong: {what}"),
    }
}

/// Writes the name as text and returns its length.
fn text(name: &[u8], into: &mut [u8; MAX_TEXT]) -> usize {
    let mut at = 0;
    if name.len() <= 1 {
        into[0] = b'.';
        return 1;
    }
    let mut put = |bytes: &[u8]| {
        if let Some(place) = into.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
            at += bytes.len();
        }
    };
    for (index, label) in wire::name::labels(name).enumerate() {
        if index > 0 {
            put(b".");
        }
        for &byte in label {
            match byte {
                b'.' | b'\\' => put(&[b'\\', byte]),
                0x21..=0x7e => put(&[byte.to_ascii_lowercase()]),
                _ => put(&[b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &[u8]) -> String {
        let mut buffer = [0; MAX_TEXT];
        let length = text(name, &mut buffer);
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn names_as_text() {
        assert_eq!(shown(b"\0"), ".");
        assert_eq!(shown(b"\x03wWw\x07example\0"), "www.example");
        assert_eq!(shown(b"\x04a.\\ \x01\xff\0"), "a\\.\\\\\\032.\\255");
        let longest: Vec<u8> = [63, 63, 63, 61].iter().flat_map(|&n| [vec![n], vec![0; n.into()]].concat()).collect();
        assert_eq!(shown(&[longest, vec![0]].concat()).len(), 250 * 4 + 3);
    }

    fn matches(pattern: &str, name: &[u8]) -> bool {
        Pattern::new(&[pattern.to_owned()]).expect("the pattern is good").matches(name)
    }

    #[test]
    fn a_match_may_be_anywhere_unless_anchored() {
        let name = b"\x05A-123\x07example\x03com\0";
        assert!(matches(r"\d{3}", name));
        assert!(matches(r"^a-\d+\.EXAMPLE\.com$", name));
        assert!(!matches(r"^\d", name));
        assert!(!matches(r"^example", name));
        assert!(!matches(r"example$", name));
        assert!(matches(r"^\.$", b"\0"));
    }

    #[test]
    fn one_of_several_is_enough() {
        let both = Pattern::new(&["^a$".to_owned(), "^b$".to_owned()]).expect("good");
        assert!(both.matches(b"\x01a\0") && both.matches(b"\x01B\0") && !both.matches(b"\x01c\0"));
    }

    #[test]
    fn a_wrong_pattern_says_where() {
        let error = Pattern::new(&["ok".to_owned(), "a(b".to_owned()]).expect_err("not closed");
        assert_eq!(error, "the pattern \"a(b\" is wrong at character 2: unclosed group");
    }

    #[test]
    fn patterns_that_grow_without_measure_are_refused() {
        for pattern in ["(a|b)*a(a|b){20}", "(.{1,200}){1,200}", "((((a{1,100}){1,100}){1,100}))"] {
            let error = Pattern::new(&[pattern.to_owned()]).expect_err("too large");
            assert!(error.contains("more than 1048576 bytes"), "{error}");
        }
        assert!(Pattern::new(&["(".repeat(100) + &")".repeat(100)]).is_err());
    }
}
