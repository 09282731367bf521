//! The texts of mails: built in, or from the operator's directory. `{{name}}` is replaced, and escaped in HTML; the first
//! line of the text is the subject.

use std::{collections::HashMap, fs, io, path::Path};

use super::Mail;
use crate::pages::html::escape;

/// What a template may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    /// What the service calls itself.
    pub app_name: &'a str,
    pub server_name: &'a str,
    /// The address that the mail is about, and goes to.
    pub address: &'a str,
    /// The link that confirms; empty where there is none.
    pub link: &'a str,
    /// For how many minutes the link is good.
    pub minutes: &'a str,
}

/// A mail, written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub subject: String,
    pub text: String,
    pub html: String,
}

pub(super) struct Templates(HashMap<&'static str, Template>);

struct Template {
    text: String,
    html: String,
}

impl Templates {
    /// Fails with a sentence when a template of the operator's cannot be used.
    pub(super) fn load(directory: Option<&Path>) -> Result<Self, String> {
        let mut templates = HashMap::new();
        for mail in Mail::WRITTEN {
            let (text, html) = built_in(mail);
            let name = mail.as_str();
            let text = read(directory, &format!("{name}.txt"))?.unwrap_or_else(|| text.to_owned());
            let html = read(directory, &format!("{name}.html"))?.unwrap_or_else(|| html.to_owned());
            templates.insert(name, Template { text, html });
        }
        Ok(Self(templates))
    }

    /// None for the mail that nobody gets.
    pub(super) fn write(&self, mail: Mail, values: Values<'_>) -> Option<Written> {
        let template = self.0.get(mail.as_str())?;
        let text = fill(&template.text, values, str::to_owned);
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        let subject = subject.trim().trim_start_matches("Subject:").trim().to_owned();
        Some(Written { subject, text: text.trim_start().to_owned(), html: fill(&template.html, values, escape) })
    }
}

fn read(directory: Option<&Path>, name: &str) -> Result<Option<String>, String> {
    let Some(path) = directory.map(|directory| directory.join(name)) else { return Ok(None) };
    let template = match fs::read_to_string(&path) {
        Ok(template) => template,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the template {} cannot be read: {error}", path.display())),
    };
    let values = Values { app_name: "", server_name: "", address: "", link: "", minutes: "" };
    if let Some((_, rest)) = fill(&template, values, str::to_owned).split_once("{{") {
        let unknown = rest.split("}}").next().unwrap_or_default();
        return Err(format!("the template {} names `{unknown}`, which there is not", path.display()));
    }
    Ok(Some(template))
}

/// One pass, so that a value that looks like a name stays what it is.
fn fill(template: &str, values: Values<'_>, escape: impl Fn(&str) -> String) -> String {
    let known = [
        ("app_name", values.app_name),
        ("server_name", values.server_name),
        ("address", values.address),
        ("link", values.link),
        ("minutes", values.minutes),
    ];
    let mut out = String::with_capacity(template.len() + 200);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let named = after.split_once("}}");
        let value = named.and_then(|(name, _)| known.iter().find(|(known, _)| *known == name.trim()));
        if let (Some((_, after)), Some((_, value))) = (named, value) {
            out.push_str(&escape(value));
            rest = after;
        } else {
            out.push_str("{{");
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

macro_rules! template {
    ($name:literal) => {
        (include_str!(concat!("templates/", $name, ".txt")), include_str!(concat!("templates/", $name, ".html")))
    };
}

fn built_in(mail: Mail) -> (&'static str, &'static str) {
    use crate::threepids::Purpose;
    match mail {
        Mail::Validate(Purpose::Register) => template!("register"),
        Mail::Validate(Purpose::Password) => template!("password"),
        Mail::Validate(Purpose::Add) => template!("add"),
        Mail::Taken => template!("taken"),
        Mail::Nothing => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threepids::Purpose;

    const VALUES: Values<'_> = Values {
        app_name: "A & B",
        server_name: "example.org",
        address: "<alice>@example.org",
        link: "https://example.org/?a=1&b={{address}}",
        minutes: "60",
    };

    #[test]
    fn built_in_mails_are_complete() {
        let templates = Templates::load(None).unwrap();
        for mail in Mail::WRITTEN {
            let written = templates.write(mail, VALUES).unwrap();
            assert!(!written.subject.is_empty() && written.subject.contains("A & B"), "{written:?}");
            let has_link = mail != Mail::Taken;
            assert_eq!(written.text.contains("https://example.org/?a=1&b={{address}}"), has_link, "{written:?}");
            assert_eq!(written.html.contains("https://example.org/?a=1&amp;b={{address}}"), has_link, "{written:?}");
            assert!(!written.html.contains("<alice>"), "{written:?}");
            assert!(!written.text.replace("{{address}}", "").contains("{{"), "{written:?}");
        }
        assert_eq!(templates.write(Mail::Nothing, VALUES), None);
    }

    #[test]
    fn templates_of_the_operator() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("add.txt"), "Subject: Hi {{ address }}\n\nGo to {{link}}").unwrap();
        let templates = Templates::load(Some(path)).unwrap();
        let written = templates.write(Mail::Validate(Purpose::Add), VALUES).unwrap();
        assert_eq!(written.subject, "Hi <alice>@example.org");
        assert_eq!(written.text, "Go to https://example.org/?a=1&b={{address}}");
        assert!(written.html.contains("<html"), "the other half stays built in");
        fs::write(path.join("taken.html"), "<p>{{ lnik }}</p>").unwrap();
        let error = Templates::load(Some(path)).err().unwrap();
        assert!(error.contains("lnik"), "{error}");
    }
}
