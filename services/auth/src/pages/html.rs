//! HTML from text.

/// Text as it may stand in elements and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(one),
        }
    }
    out
}

/// A field with its label.
pub(crate) struct Field<'a> {
    pub name: &'a str,
    pub label: &'a str,
    /// `text`, `password`, `email`
    pub kind: &'a str,
    /// What browsers may fill in: `username`, `current-password`, `off`, …
    pub autocomplete: &'a str,
}

impl Field<'_> {
    pub(crate) fn build(&self) -> String {
        let [name, label, kind, autocomplete] = [self.name, self.label, self.kind, self.autocomplete].map(escape);
        format!(
            "<label for=\"{name}\">{label}</label>\n<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" \
             autocomplete=\"{autocomplete}\" autocapitalize=\"none\" spellcheck=\"false\" required>\n"
        )
    }
}

/// A form that comes back to the page it is on; `inside` is HTML.
pub(crate) fn form(inside: &str, button: &str) -> String {
    format!("<form method=\"post\">\n{inside}<button type=\"submit\">{}</button>\n</form>\n", escape(button))
}

/// A value that goes along with a form.
pub(crate) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(escape("<b a='x' c=\"y\">&amp;"), "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;amp;");
        let field = hidden("sid", "\"><script>");
        assert!(!field.contains("\"><script>"), "{field}");
    }
}
