//! What all tools say of one image, as a text for a terminal.

use std::fmt::Write as _;

use crate::base::prose::{counted, printable, wrapped};
use crate::disk_format::description::Description;
use crate::run::outside_image::OutsideImage;
use crate::run::views::{Mapping, Outcome, View};

/// The usual width of a terminal, in columns.
const WIDTH: usize = 100;

/// The image and its files, a line for each tool that was asked, and who agrees.
pub fn views(image: &OutsideImage, description: &Description, views: &[View]) -> String {
    let mut text = format!("{}: {}", image.shown.display(), image.file.format);
    let more = image
        .taken
        .iter()
        .skip(1)
        .filter_map(|path| path.file_name());
    let more: Vec<_> = more
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if !more.is_empty() {
        let _ = write!(text, ", with {}", more.join(", "));
    }
    if let Some(what) = image.foreign {
        let _ = write!(text, ": it is {what}, of which no tool here is asked");
    }
    text.push('\n');
    for left in &image.left {
        let _ = writeln!(text, "  left out: {left}");
    }
    text.push_str(&described(description));
    let asked = views
        .iter()
        .filter(|view| !matches!(view.outcome, Outcome::Skipped(_)));
    let widths = asked.clone().map(|view| view.tool.chars().count());
    let width = widths.max().unwrap_or_default();
    for view in asked {
        let indent = " ".repeat(width + 2);
        let line = format!("{indent}{}", printable(&said(view)));
        let words = wrapped(&line, WIDTH, &indent);
        let _ = write!(text, "{:width$}  {}", view.tool, words.trim_start());
    }
    let skipped = views
        .iter()
        .filter(|view| matches!(view.outcome, Outcome::Skipped(_)));
    let skipped: Vec<&str> = skipped.map(|view| view.tool.as_str()).collect();
    if !skipped.is_empty() && image.foreign.is_none() {
        let line = format!(
            "not asked, because they read no such image: {}",
            skipped.join(", ")
        );
        text.push_str(&wrapped(&line, WIDTH, "    "));
    }
    let _ = writeln!(text, "{}", summary(views));
    text
}

/// The facts of the file's headers.
pub fn facts(description: &Description) -> String {
    let facts = description.facts.iter();
    let facts: Vec<String> = facts
        .map(|fact| format!("{} {}", fact.what, fact.value))
        .collect();
    facts.join(", ")
}

/// What our own parsers say of the file.
fn described(description: &Description) -> String {
    let facts = facts(description);
    let mut text = String::new();
    if !facts.is_empty() {
        let line = format!("  {}", printable(&facts));
        text.push_str(&wrapped(&line, WIDTH, "  "));
    }
    for unusual in &description.unusual {
        let line = format!(
            "  unusual: {} ({})",
            printable(&unusual.what),
            unusual.section
        );
        text.push_str(&wrapped(&line, WIDTH, "    "));
    }
    text
}

/// What one tool says.
pub fn said(view: &View) -> String {
    let mut said = match &view.outcome {
        Outcome::Read(seen) => {
            let group = char::from(b'A' + (seen.group.min(25)) as u8);
            let size = counted(seen.size, "byte");
            let mut said = format!(
                "{group}  {size}, {} of them in blocks with data",
                seen.non_zero_bytes
            );
            if let Some(differs) = &seen.differs {
                let _ = write!(said, "; differs at {differs}");
                if !seen.ranges.is_empty() {
                    let bytes: u64 = seen.ranges.iter().map(|(_, length)| length).sum();
                    let ranges = counted(seen.ranges.len() as u64, "range");
                    let _ = write!(said, "; {ranges}, {} in all", counted(bytes, "byte"));
                }
            }
            said
        }
        Outcome::Refuses(words) => format!("refuses: {words}"),
        Outcome::Dies(words) => format!("dies: {words}"),
        Outcome::Unsupported(what) => format!("skips it: {what}"),
        Outcome::Skipped(why) => why.clone(),
    };
    if let Some(check) = &view.check {
        let _ = write!(said, "; check: {check}");
    }
    match &view.map {
        Some(Mapping::Data(ranges)) => {
            let bytes: u64 = ranges.iter().map(|(_, length)| length).sum();
            let _ = write!(said, "; map: {} of data", counted(bytes, "byte"));
        }
        Some(Mapping::Refuses(words)) => {
            let _ = write!(said, "; map: {words}");
        }
        None => {}
    }
    said
}

/// Who agrees, in one line.
pub fn summary(views: &[View]) -> String {
    let read: Vec<_> = views.iter().filter_map(View::seen).collect();
    let most = read.iter().filter(|seen| seen.group == 0).count();
    match (read.len(), most) {
        (0, _) => "no tool reads it".to_owned(),
        (1, _) => "one tool reads it: nothing to compare".to_owned(),
        (all, most) if all == most => format!("all {all} tools that read it see the same"),
        (all, most) => format!("{most} of {all} tools that read it see the same"),
    }
}
