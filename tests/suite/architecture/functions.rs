//! How long functions are, read from the text as rustfmt lays it out: one ends at the brace that stands where its first line begins.

/// A function: its name, and how many lines it has.
pub struct Function {
    pub name: String,
    pub lines: usize,
}

/// The functions of a text.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = lines.iter().enumerate().filter_map(|(begin, line)| {
        let margin = line.len() - line.trim_start().len();
        let name = name(line.trim_start())?;
        let is_end = |line: &&str| {
            line.len() == margin + 1 && line.ends_with('}') && line.trim_start() == "}"
        };
        let length = lines[begin..].iter().position(is_end)?;
        let is_over = lines[begin..begin + length]
            .iter()
            .any(|line| line.ends_with(';') && line.len() - line.trim_start().len() == margin);
        // One without a body, or on one line, ends at once.
        (!is_over && !line.ends_with('}')).then(|| Function {
            name: name.to_owned(),
            lines: length + 1,
        })
    });
    begins.collect()
}

/// The name of the function that a line begins.
fn name(line: &str) -> Option<&str> {
    let words = ["pub ", "const ", "unsafe ", "extern \"C\" "];
    let mut rest = match line.strip_prefix("pub(") {
        Some(rest) => rest.split_once(") ")?.1,
        None => line,
    };
    while let Some(more) = words.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = more;
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
    Some(&rest[..end])
}

#[test]
fn a_functions_lines_are_counted_from_its_first_to_its_brace() {
    let text = "impl X {\n    pub(in super::super) fn long(\n        a: u8,\n    ) -> u8 {\n        if a {\n            b();\n        }\n    }\n\n    fn short() {}\n}\n\nfn next() {\n    c();\n}\n";
    let found: Vec<_> = functions(text)
        .into_iter()
        .map(|found| (found.name, found.lines))
        .collect();
    assert_eq!(found, [("long".to_owned(), 7), ("next".to_owned(), 3)]);
}
