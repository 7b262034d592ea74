//! The names of cases that were made of others: each change is a part of the generation's name.
//!
//! `native1_m3_x45_s7_i000123` is the case `native1_s7_i000123`, changed by the mutation 3, then spliced with the drawn case 45 of the
//! same seed. The name alone gives the case again. It stands before the seed, so that no id is part of another.

/// How a case is made of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// By the mutation of this number.
    Mutation(u64),
    /// By putting together its acts and those of the drawn case of this iteration.
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

    /// The name of the generation of its children.
    pub fn name(self, parent: &str) -> String {
        match self {
            Self::Mutation(number) => format!("{parent}_m{number}"),
            Self::Splice(iteration) => format!("{parent}_x{iteration}"),
        }
    }
}

/// The drawn generation at the beginning of a name, and the changes behind it, the first one first.
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

/// The name of the parent's generation and the last change; `None` for a name of drawn cases.
pub fn parted(name: &str) -> Option<(&str, Change)> {
    let (parent, last) = name.rsplit_once('_')?;
    Some((parent, Change::parse(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_drawn_generation_and_all_changes_in_their_order() {
        let changes = vec![Change::Mutation(3), Change::Splice(45)];
        assert_eq!(lineage("native1_imago_m3_x45"), ("native1_imago", changes));
        assert_eq!(lineage("native1_imago"), ("native1_imago", Vec::new()));
        assert_eq!(Change::Splice(7).name("native1_m0"), "native1_m0_x7");
    }

    #[test]
    fn what_is_no_change_is_part_of_the_name() {
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
