//! Pages out of templates: `{{name}}` becomes a value, always escaped.

/// Fills a template. A name that has no value is nothing.
pub(super) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        let value = value(name);
        debug_assert!(value.is_some(), "no value for {name}");
        escape(&value.unwrap_or_default(), &mut page);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// What would begin or end an element or an attribute stands for itself (HTML §13.1.4).
fn escape(text: &str, page: &mut String) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            '`' => page.push_str("&#96;"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_wherever_they_stand() {
        let hostile = "\"'`><script>&amp;{{b}}";
        let page = fill("<p a=\"{{a}}\">{{a}}</p>{{b}}", |name| match name {
            "a" => Some(hostile.to_owned()),
            _ => Some("B".to_owned()),
        });
        let text = "&quot;&#39;&#96;&gt;&lt;script&gt;&amp;amp;{{b}}";
        assert_eq!(page, format!("<p a=\"{text}\">{text}</p>B"));
    }
}
