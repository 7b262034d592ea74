//! Edits the catalogue's files as text, so that everything else stays as people wrote it, including comments.
//!
//! `imgduel accept` and the conversion of a JSON catalogue use it. It writes no file.

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::{Catalogue, Condition, Entry, Range};
use crate::base::error::{Error, Result};
use crate::image::format::Format;

/// The array of tables with the entries.
const KNOWN: &str = "known";

impl Catalogue {
    /// Returns the name of the file with the entries of a tool.
    pub fn file_name(tool: &str) -> String {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let plain = |letter| if is_plain(letter) { letter } else { '-' };
        format!("{}.toml", tool.chars().map(plain).collect::<String>())
    }

    /// Returns the text of a file with one more entry at its end; of a new file if there is none.
    ///
    /// # Errors
    ///
    /// If the text is not valid TOML.
    pub fn with_entry(text: Option<&str>, entry: &Entry) -> Result<String> {
        let mut document = match text {
            Some(text) => parsed(text)?,
            None => new_file(entry),
        };
        let of_file = document.get("tool").and_then(Item::as_str);
        let mut table = table(entry);
        if of_file != Some(&entry.tool) {
            table.insert("tool", entry.tool.as_str().into());
        }
        let known = document
            .entry(KNOWN)
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let known = known.as_array_of_tables_mut();
        let known = known.ok_or_else(|| Error::usage("'known' is no list of entries"))?;
        known.push(table);
        Ok(document.to_string())
    }

    /// Returns the text of a file in which an entry has other versions of one tool; `None` if the file does not have
    /// the entry.
    ///
    /// # Errors
    ///
    /// If the text is not valid TOML.
    pub fn with_versions(
        text: &str,
        id: &str,
        tool: &str,
        versions: &[Range],
    ) -> Result<Option<String>> {
        let mut document = parsed(text)?;
        let known = document.get_mut(KNOWN);
        let Some(known) = known.and_then(Item::as_array_of_tables_mut) else {
            return Ok(None);
        };
        let words = one_or_more(versions.iter().map(ToString::to_string));
        let Some((table, is_shared)) = known
            .iter_mut()
            .find_map(|table| Some((is_shared_entry(table, id, tool)?, table)))
            .map(|(is_shared, table)| (table, is_shared))
        else {
            return Ok(None);
        };
        match is_shared {
            true => put_versions_of_one(table, tool, words),
            false => {
                table.insert("versions", Item::Value(words));
            }
        }
        Ok(Some(document.to_string()))
    }
}

/// Whether the table of the entry with this id is shared by several tools; `None` if it is another entry.
fn is_shared_entry(table: &Table, id: &str, tool: &str) -> Option<bool> {
    let own = table.get("id").and_then(Item::as_str)?;
    let shared_by = table.get("tools").and_then(Item::as_array);
    let Some(shared_by) = shared_by else {
        return (own == id).then_some(false);
    };
    let mut tools = shared_by.iter().filter_map(Value::as_str);
    let is_it = tools.any(|one| one == tool) && id.ends_with(&format!("-{own}"));
    is_it.then_some(true)
}

fn parsed(text: &str) -> Result<DocumentMut> {
    text.parse()
        .map_err(|error: toml_edit::TomlError| Error::usage(error.message().to_owned()))
}

fn new_file(entry: &Entry) -> DocumentMut {
    let mut document = DocumentMut::new();
    document.insert("tool", entry.tool.as_str().into());
    if let Some(mut key) = document.key_mut("tool") {
        let comment = format!(
            "# Known divergences of {} (docs/catalogue.md).\n",
            entry.tool
        );
        key.leaf_decor_mut().set_prefix(comment);
    }
    document
}

/// The other tools of a shared entry keep their versions.
fn put_versions_of_one(table: &mut Table, tool: &str, words: Value) {
    let before = table.remove("versions");
    let mut by_tool = match before.as_ref().and_then(Item::as_inline_table) {
        Some(by_tool) => by_tool.clone(),
        None => InlineTable::new(),
    };
    if let Some(all) = before.and_then(|item| item.into_value().ok())
        && !all.is_inline_table()
    {
        let tools = table.get("tools").and_then(Item::as_array);
        let tools = tools.into_iter().flat_map(Array::iter);
        for other in tools.filter_map(Value::as_str) {
            by_tool.insert(other, all.clone());
        }
    }
    by_tool.insert(tool, words);
    table.insert("versions", Item::Value(by_tool.into()));
}

/// Returns an entry in full, as a table.
fn table(entry: &Entry) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            table.insert(key, Item::Value(value));
        }
    };
    let text = |text: &str| Some(Value::from(text));
    put("id", text(&entry.id));
    let versions = entry.versions.iter().map(ToString::to_string);
    put("versions", Some(one_or_more(versions)));
    put("of_reference", entry.of_reference.then(|| true.into()));
    put("rate", entry.rate.map(Value::from));
    put_condition(&entry.when, &mut put);
    put("candidate", text(&entry.candidate));
    put("reference", text(&entry.reference));
    put("right", text(entry.right.name()));
    put("specification", text(&entry.specification));
    put("why", text(&entry.why));
    put("example", texts(&entry.examples));
    put("example_with", entry.example_with.as_deref().and_then(text));
    put("no_example", entry.no_example.as_deref().and_then(text));
    table
}

fn put_condition(when: &Condition, put: &mut impl FnMut(&str, Option<Value>)) {
    let is_format = |name: &String| Format::all().any(|format| format.name() == name);
    let format = when.features.iter().find(|name| is_format(name));
    let features = when.features.iter().filter(|name| Some(*name) != format);
    let features: Vec<String> = features.cloned().collect();
    put("operation", texts(&when.operation));
    put("format", format.map(Value::from));
    put("kind", texts(&when.kind));
    let parameters = (!when.parameters.is_empty()).then(|| inline_table(&when.parameters));
    put("parameters", parameters);
    put("features", texts(&features));
    put("any_feature", list(&when.any_feature));
    put("damage", texts(&when.damage));
    put("at", texts(&when.at));
    put("any_at", list(&when.any_at));
    put("not_at", texts(&when.not_at));
    let blame = when.blame.iter().map(|blame| blame.name().to_owned());
    put("blame", texts(&blame.collect::<Vec<String>>()));
    let subjects = when.subjects.iter().map(|kind| kind.name().to_owned());
    put("subject", texts(&subjects.collect::<Vec<String>>()));
    put("differs", texts(&when.differences));
    let shows = when.shows.iter().map(|shows| shows.name().to_owned());
    put("shows", texts(&shows.collect::<Vec<String>>()));
    put(
        "candidate_says",
        when.candidate_says.as_ref().map(Value::from),
    );
    put(
        "reference_says",
        when.reference_says.as_ref().map(Value::from),
    );
}

fn one_or_more(values: impl Iterator<Item = String>) -> Value {
    let values: Vec<String> = values.collect();
    texts(&values).unwrap_or_else(|| Array::new().into())
}

/// Returns one text, a list of texts, or nothing.
fn texts(values: &[String]) -> Option<Value> {
    match values {
        [one] => Some(one.into()),
        more => list(more),
    }
}

fn list(values: &[String]) -> Option<Value> {
    (!values.is_empty()).then(|| values.iter().collect::<Array>().into())
}

fn inline_table(map: &Map<String, Json>) -> Value {
    let pairs = map.iter();
    let pairs = pairs.filter_map(|(key, json)| Some((key.as_str(), value(json)?)));
    pairs.collect::<InlineTable>().into()
}

/// Converts a value of JSON; `None` for `null`, which TOML does not have.
fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(one) => (*one).into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.into(),
        Json::Array(values) => values.iter().filter_map(value).collect::<Array>().into(),
        Json::Object(map) => inline_table(map),
    })
}
