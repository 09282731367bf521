//! Which entries lead to a user, and how well a user fits what somebody looks for.

use std::collections::BTreeSet;

use super::fold::{fold, is_unspaced, words};

/// A whole name, localpart or user id.
pub(crate) const WHOLE: i16 = 0;
/// A word of a name or localpart.
pub(crate) const WORD: i16 = 1;
/// A name in a script without spaces, from some character on.
pub(crate) const REST: i16 = 2;

/// Characters of an entry: what is longer is found by its beginning.
const WHOLE_CHARS: usize = 64;
const WORD_CHARS: usize = 32;
const REST_CHARS: usize = 16;
/// Entries of one user.
const MAX_WORDS: usize = 16;
const MAX_RESTS: usize = 64;

/// The first characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// A user's names, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    user_id: String,
    localpart: String,
    pub(crate) name: String,
}

impl Names {
    pub(crate) fn new(user_id: &str, displayname: Option<&str>) -> Self {
        let user_id = fold(user_id);
        let localpart = user_id.trim_start_matches('@').split(':').next().unwrap_or_default().to_owned();
        Self { localpart, user_id, name: displayname.map(fold).unwrap_or_default() }
    }

    /// `(kind, entry)`, each once.
    pub(crate) fn entries(&self) -> BTreeSet<(i16, &str)> {
        let whole =
            [&self.name, &self.localpart, &self.user_id].into_iter().map(|text| (WHOLE, cut(text, WHOLE_CHARS)));
        let word = self.words().take(MAX_WORDS).map(|word| (WORD, cut(word, WORD_CHARS)));
        let unspaced = self.name.char_indices().filter(|(_, c)| is_unspaced(*c)).take(MAX_RESTS);
        let rest = unspaced.map(|(start, _)| {
            let run = &self.name[start..];
            let end = run.find(|c| !is_unspaced(c)).unwrap_or(run.len());
            (REST, cut(&run[..end], REST_CHARS))
        });
        whole.chain(word).chain(rest).filter(|(_, entry)| !entry.is_empty()).collect()
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        words(&self.name).chain(words(&self.localpart))
    }

    /// How well this fits; less is better. None: not at all.
    pub(crate) fn rank(&self, term: &Term) -> Option<u8> {
        let wholes = || [&self.name, &self.localpart, &self.user_id].into_iter().filter(|text| !text.is_empty());
        let forms = || term.whole.iter();
        if wholes().any(|text| forms().any(|form| text == form)) {
            return Some(0);
        }
        if wholes().any(|text| forms().any(|form| text.starts_with(form.as_str()))) {
            return Some(1);
        }
        let begins = |wanted: &String| self.words().any(|word| word.starts_with(wanted.as_str()));
        if !term.words.is_empty() && term.words.iter().all(begins) {
            return Some(2);
        }
        let contains = |wanted: &String| wanted.chars().any(is_unspaced) && self.name.contains(wanted.as_str());
        (!term.words.is_empty() && term.words.iter().all(|wanted| begins(wanted) || contains(wanted))).then_some(3)
    }
}

/// What somebody looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Term {
    /// The whole term; what looks like a user id also with its `@`.
    whole: Vec<String>,
    words: Vec<String>,
}

/// One walk along the index: entries of a kind that begin like this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) kind: i16,
    pub(crate) beginning: String,
}

impl Term {
    pub(crate) fn new(text: &str) -> Self {
        let folded = fold(text);
        if folded.is_empty() {
            return Self::default();
        }
        let words = words(&folded).take(MAX_WORDS).map(str::to_owned).collect();
        let mut whole = vec![folded];
        if !whole[0].starts_with('@') && whole[0].contains(':') {
            whole.push(format!("@{}", whole[0]));
        } else if let Some(localpart) =
            whole[0].strip_prefix('@').filter(|rest| !rest.is_empty() && !rest.contains(':'))
        {
            whole.push(localpart.to_owned());
        }
        Self { whole, words }
    }

    /// The walks that find everybody who fits, those of better rank first.
    pub(crate) fn walks(&self) -> Vec<Walk> {
        let mut walks: Vec<Walk> =
            self.whole.iter().map(|form| Walk { kind: WHOLE, beginning: cut(form, WHOLE_CHARS).to_owned() }).collect();
        // the longest word leads to the fewest users
        if let Some(word) = self.words.iter().max_by_key(|word| word.chars().count()) {
            walks.push(Walk { kind: WORD, beginning: cut(word, WORD_CHARS).to_owned() });
            if let Some(run) = longest_run(self.words.iter()) {
                walks.push(Walk { kind: REST, beginning: cut(run, REST_CHARS).to_owned() });
            }
        }
        walks
    }
}

/// The longest part in a script without spaces.
fn longest_run<'a>(words: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    words
        .flat_map(|word| word.split(|c| !is_unspaced(c)))
        .filter(|run| !run.is_empty())
        .max_by_key(|run| run.chars().count())
}

#[cfg(test)]
mod tests {
    use super::{Names, REST, Term, WHOLE, WORD};

    #[test]
    fn entries_lead_to_users() {
        let names = Names::new("@anna.b:example.org", Some("Änne Müller"));
        let entries: Vec<_> = names.entries().into_iter().collect();
        assert_eq!(
            entries,
            [
                (WHOLE, "@anna.b:example.org"),
                (WHOLE, "anna.b"),
                (WHOLE, "anne muller"),
                (WORD, "anna"),
                (WORD, "anne"),
                (WORD, "b"),
                (WORD, "muller")
            ]
        );
        let names = Names::new("@x:y", Some("abc山田太郎"));
        let rests: Vec<_> = names.entries().into_iter().filter(|(kind, _)| *kind == REST).map(|(_, e)| e).collect();
        assert_eq!(rests, ["太郎", "山田太郎", "田太郎", "郎"]);
        let long = Names::new("@x:y", Some(&"字 w".repeat(10_000)));
        assert!(long.entries().len() < 200);
        assert!(long.entries().iter().all(|(_, entry)| entry.chars().count() <= 64));
    }

    #[test]
    fn better_fits_come_first() {
        let names = Names::new("@taro:example.org", Some("Tarō Yamada 山田太郎"));
        let rank = |term: &str| names.rank(&Term::new(term));
        for (term, expected) in [
            ("taro yamada 山田太郎", Some(0)),
            ("TARO", Some(0)),
            ("@taro", Some(0)),
            ("@taro:example.org", Some(0)),
            ("taro:example.org", Some(0)),
            ("taro:exa", Some(1)),
            ("tar", Some(1)),
            ("taró ya", Some(1)),
            ("yam tar", Some(2)),
            ("山田", Some(2)),
            ("太郎", Some(3)),
            ("太郎 yama", Some(3)),
            ("amada", None),
            ("郎太", None),
            ("taro smith", None),
            ("", None),
            ("!", None),
        ] {
            assert_eq!(rank(term), expected, "{term}");
        }
    }

    #[test]
    fn every_fit_is_on_a_walk() {
        let names = [
            Names::new("@taro:example.org", Some("Tarō Yamada 山田太郎")),
            Names::new("@anna.b:example.org", Some("Änne Müller")),
            Names::new("@nobody:example.org", None),
            Names::new("@x:y", Some("🐰")),
        ];
        for term in
            ["t", "taro yama", "太郎", "田 ta", "mull", "anne m", "@nobody", "nobody:ex", "🐰", "b", "x", "anna.b"]
        {
            let term = Term::new(term);
            for names in &names {
                let found = term.walks().iter().any(|walk| {
                    names.entries().iter().any(|(kind, entry)| *kind == walk.kind && entry.starts_with(&walk.beginning))
                });
                assert!(found || names.rank(&term).is_none(), "{term:?} {names:?}");
            }
        }
    }
}
