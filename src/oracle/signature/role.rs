//! Replaces the names of a case's files by their roles: `3-chain-c0.qcow2` becomes `chain.qcow2`.
//!
//! The signature uses it. The index of the operation, and of the image in its chain, are specific to one case.

use crate::image::format::Format;

/// Returns a text in which names of files are replaced by their roles.
pub(super) fn named_by_roles(text: &str) -> String {
    let belongs = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let mut named = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(belongs) {
        let (between, from) = rest.split_at(start);
        let end = from.find(|letter| !belongs(letter)).unwrap_or(from.len());
        let (word, behind) = from.split_at(end);
        named.push_str(between);
        // A full stop does not belong to the name.
        let name = word.trim_end_matches('.');
        match role(name) {
            Some(role) => named.push_str(&role),
            None => named.push_str(name),
        }
        named.push_str(&word[name.len()..]);
        rest = behind;
    }
    named + rest
}

/// Returns the role of a file of this name: `INDEX-OPERATION[-PART]....ENDING` without the parts that are only numbers.
fn role(name: &str) -> Option<String> {
    let (index, rest) = name.split_once('-')?;
    let (stem, ending) = match rest.split_once('.') {
        Some(parted) => parted,
        None => without_point(rest)?,
    };
    let is_word = |part: &str| part.starts_with(|first: char| first.is_ascii_lowercase());
    let mut parts = stem.split('-').filter(|part| !is_number(part));
    let is_file = is_number(index) && !ending.is_empty() && parts.clone().all(is_word);
    let operation = parts.next().filter(|_| is_file)?;
    let role = parts.fold(operation.to_owned(), |role, part| role + "-" + part);
    Some(format!("{role}.{ending}"))
}

/// Whether the part is only a number of a file: `2`, `c0`, `s001`, or a number as an earlier version wrote it.
fn is_number(part: &str) -> bool {
    let number = part
        .strip_prefix(|first: char| first.is_ascii_lowercase())
        .unwrap_or(part);
    let is_digits = number.bytes().all(|digit| digit.is_ascii_digit());
    number == "N" || is_digits && !number.is_empty()
}

/// An earlier version took the point after a number for a part of it: `chain-Nqcow2`.
fn without_point(rest: &str) -> Option<(&str, &str)> {
    let parted = |format: Format| {
        let stem = rest.strip_suffix(format.name())?;
        stem.ends_with("-N").then_some((stem, format.name()))
    };
    Format::all().find_map(parted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_role() {
        let roles = [
            ("2-resize.qcow2", "resize.qcow2"),
            ("0-chain-0.qcow2", "chain.qcow2"),
            ("0-chain-c12.vmdk", "chain.vmdk"),
            ("0-chain-0.data", "chain.data"),
            ("0-create-s001.vmdk", "create.vmdk"),
            ("0-create-flat.vmdk", "create-flat.vmdk"),
            ("11-rebase-base.qcow2", "rebase-base.qcow2"),
            ("N-commit-base.qcow2", "commit-base.qcow2"),
            ("N-chain-Nqcow2", "chain.qcow2"),
            ("N-chain-Nqcow", "chain.qcow"),
        ];
        for (name, role) in roles {
            assert_eq!(named_by_roles(name), role);
            let text = format!("Could not open '{name}': no. {name}.");
            let named = format!("Could not open '{role}': no. {role}.");
            assert_eq!(named_by_roles(&text), named);
            assert_eq!(named_by_roles(&named), named);
        }
    }

    #[test]
    fn what_is_no_file_of_a_case_stays_as_it_is() {
        let others = [
            "base.qcow2",
            "a 64-bit number, 4-byte aligned",
            "release 10.0.2-rc1",
            "1-2.3",
            "0-.raw",
            "0-chain.",
            "N-Nqcow2",
            "",
        ];
        for text in others {
            assert_eq!(named_by_roles(text), text);
        }
    }
}
