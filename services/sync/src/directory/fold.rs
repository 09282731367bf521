//! Text as people look for it: without case, accents and the many ways to write the same character.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Characters of a name that are looked at.
const MAX_CHARS: usize = 256;

/// Compatibility forms are unified (NFKC), case is folded, accents of alphabetic scripts are stripped, white space is one
/// space. Marks that are letters of their own in their script (Indic vowels, kana voicing) stay.
pub(crate) fn fold(text: &str) -> String {
    let folded: String =
        text.chars().take(MAX_CHARS).nfkd().filter(|c| !is_accent(*c)).flat_map(fold_char).nfc().collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Combining marks of the Latin, Greek, Cyrillic, Hebrew and Arabic scripts.
fn is_accent(c: char) -> bool {
    matches!(u32::from(c),
        0x0300..=0x036f | 0x0483..=0x0487 | 0x0591..=0x05c7 | 0x0610..=0x061a | 0x064b..=0x065f | 0x0670
        | 0x06d6..=0x06ed | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
        && is_combining_mark(c)
}

/// Case folding by way of the upper case, which unites ß and ss, ς and σ, ı and i; and letters that are written with a
/// stroke or as one, which Unicode does not decompose.
fn fold_char(c: char) -> impl Iterator<Item = char> {
    let spelled = match c {
        'ł' | 'Ł' => "l",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'þ' | 'Þ' => "th",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ħ' | 'Ħ' => "h",
        'ŧ' | 'Ŧ' => "t",
        'ẞ' => "ss",
        _ => "",
    };
    let other = if spelled.is_empty() { Some(c) } else { None };
    spelled.chars().chain(other.into_iter().flat_map(char::to_uppercase).flat_map(char::to_lowercase))
}

/// Scripts that are written without spaces between words, and Hangul, whose names are one word: they are searched from any
/// character on.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff // Thai, Lao, Burmese, Khmer
        | 0x3005..=0x3007 | 0x3040..=0x312f | 0x31a0..=0x31ff // kana, bopomofo
        | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff // Han
        | 0xac00..=0xd7af) // Hangul
}

/// The words of folded text: letters, digits and what belongs to them.
pub(crate) fn words(folded: &str) -> impl Iterator<Item = &str> {
    let belongs = |c: char| c.is_alphanumeric() || is_unspaced(c) || is_combining_mark(c);
    folded.split(move |c: char| !belongs(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{fold, words};

    #[test]
    fn what_looks_alike_to_people_is_alike() {
        for (text, expected) in [
            ("Ärger  Straße", "arger strasse"),
            ("STRASSE", "strasse"),
            ("ﬁn ＡＢＣ ①", "fin abc 1"),
            ("Zoë Łódź", "zoe lodz"),
            ("ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ σισυφοσ"),
            ("İstanbul ISTANBUL ıstanbul", "istanbul istanbul istanbul"),
            ("Ёлка Елка", "елка елка"),
            ("ＴＡＲＯ タロウ ﾀﾛｳ", "taro タロウ タロウ"),
            ("がっこう", "がっこう"),
            ("홍길동", "홍길동"),
            ("हिन्दी", "हिन्दी"),
            ("مُحَمَّد", "محمد"),
            ("🐰 Alice\u{200d}", "🐰 alice\u{200d}"),
            ("\u{202e}evil", "\u{202e}evil"),
            ("", ""),
        ] {
            assert_eq!(fold(text), expected, "{text}");
            assert_eq!(fold(&fold(text)), fold(text), "folding twice is folding once: {text}");
        }
        assert!(!fold(&"\u{fdfa}".repeat(10_000)).is_empty());
    }

    #[test]
    fn words_are_what_people_type() {
        let list = |text: &str| words(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(list("alice o'neil-smith (work)"), ["alice", "o", "neil", "smith", "work"]);
        assert_eq!(list("🐰 alice_2"), ["alice", "2"]);
        assert_eq!(list("山田 太郎"), ["山田", "太郎"]);
        assert!(list("--- 🐰").is_empty());
    }
}
