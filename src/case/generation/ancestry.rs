//! The ancestry of mutated and spliced cases, encoded in the generation's name.
//!
//! `native1_m3_x45_s7_i000123` is the case `native1_s7_i000123`, changed by mutation 3 and then spliced with iteration 45 of the same
//! seed. The id alone suffices to rebuild the case. Changes precede the seed, so that no id is a substring of another. This module only
//! parses and prints names; the native generator applies the changes.

/// A change that derives a case from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The mutation with this number, which seeds its random choices.
    Mutation(u64),
    /// A crossover with the drawn case of this iteration: the first steps of the parent, then the last steps of the other.
    Splice(u64),
}

impl Change {
    fn parse(part: &str) -> Option<Self> {
        let kind = part.chars().next()?;
        let digits = part.get(kind.len_utf8()..)?;
        let is_plain = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        let number = is_plain.then(|| digits.parse().ok()).flatten()?;
        match kind {
            'm' => Some(Self::Mutation(number)),
            'x' => Some(Self::Splice(number)),
            _ => None,
        }
    }

    /// Returns the generation name of the child of a case with generation name `parent`.
    pub fn name(self, parent: &str) -> String {
        match self {
            Self::Mutation(number) => format!("{parent}_m{number}"),
            Self::Splice(iteration) => format!("{parent}_x{iteration}"),
        }
    }
}

/// Splits a generation name into the drawn generation and the changes, oldest first.
pub fn lineage(name: &str) -> (&str, Vec<Change>) {
    let mut base = name;
    let mut changes = Vec::new();
    while let Some((parent, change)) = parted(base) {
        changes.push(change);
        base = parent;
    }
    changes.reverse();
    (base, changes)
}

/// Splits off the last change: returns the parent's generation name and the change, or `None` if the name has no change.
pub fn parted(name: &str) -> Option<(&str, Change)> {
    let (parent, last) = name.rsplit_once('_')?;
    Some((parent, Change::parse(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_splits_into_the_drawn_generation_and_all_changes_in_order() {
        let changes = vec![Change::Mutation(3), Change::Splice(45)];
        assert_eq!(lineage("native1_imago_m3_x45"), ("native1_imago", changes));
        assert_eq!(lineage("native1_imago"), ("native1_imago", Vec::new()));
        assert_eq!(Change::Splice(7).name("native1_m0"), "native1_m0_x7");
    }

    #[test]
    fn a_suffix_that_is_not_a_change_belongs_to_the_name() {
        for name in [
            "native1",
            "native1_m",
            "native1_m03",
            "native1_y3",
            "native1_m-1",
        ] {
            assert_eq!(lineage(name), (name, Vec::new()));
        }
    }
}
