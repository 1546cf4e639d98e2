//! What tidy prints without refusing: where the large places are, how dense assertions stand.

use super::tree::{File, Tree};

const SHOWN: usize = 10;

/// The report, a line each.
pub(super) fn lines(tree: &Tree) -> Vec<String> {
    let mut files: Vec<(usize, &str)> = Vec::new();
    let mut functions: Vec<(usize, String)> = Vec::new();
    let (mut code, mut assertions) = (0_usize, 0_usize);
    for file in tree.rust().filter(|file| !file.is_test_file()) {
        let count = file
            .production()
            .filter(|(_, line)| !line.trim().is_empty())
            .count();
        files.push((count, &file.path));
        functions.extend(lengths(file));
        if file.path.starts_with("sip/") || file.path.starts_with("media/") {
            code += count;
            assertions += file
                .production()
                .filter(|(_, line)| line.contains("assert"))
                .count();
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    functions.sort_unstable_by(|a, b| b.cmp(a));
    let mut lines = vec![format!(
        "report: {} production files, {} code lines in the cores, {:.1} assertions a 1000 lines there",
        files.len(),
        code,
        assertions as f64 * 1000.0 / code.max(1) as f64
    )];
    for (count, path) in files.iter().take(SHOWN) {
        lines.push(format!("report: file {count:>5} lines  {path}"));
    }
    for (count, name) in functions
        .iter()
        .filter(|(count, _)| *count > 70)
        .take(SHOWN)
    {
        lines.push(format!("report: fn   {count:>5} lines  {name}"));
    }
    lines
}

/// Length and `path:name` of each function of production code.
fn lengths(file: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, usize, String)> = Vec::new();
    for (number, line) in file.production() {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let head = line.trim_start();
        let is_definition = head
            .split('(')
            .next()
            .is_some_and(|h| h.split(' ').any(|word| word == "fn") && !head.ends_with(';'));
        if is_definition {
            let name = head.split("fn ").nth(1).unwrap_or_default();
            let name = name
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next();
            open.push((indent, number, name.unwrap_or_default().to_owned()));
        } else if head == "}"
            && open.last().is_some_and(|(opened, ..)| *opened == indent)
            && let Some((_, from, name)) = open.pop()
        {
            found.push((number - from, format!("{}:{name}", file.path)));
        }
    }
    found
}
