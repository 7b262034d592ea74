//! What the cases of a generation are restricted to: `--ops` and `--fields`.

/// The selected operations and fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The operations to draw from; their order and repetitions matter. `None` for the generation's own list.
    pub operations: Option<Vec<String>>,
    /// The structures and fields that may be damaged, of malformed generations only. `None` for all.
    pub fields: Option<Vec<String>>,
}

impl Selection {
    /// Everything that a generation has.
    pub const ALL: Self = Self {
        operations: None,
        fields: None,
    };

    /// Returns the selection of these operations.
    pub fn of_operations(operations: Option<Vec<String>>) -> Self {
        Self {
            operations,
            fields: None,
        }
    }

    /// Whether all selected operations are among these.
    pub fn is_within(&self, operations: &[&str]) -> bool {
        let mut selected = self.operations.iter().flatten();
        selected.all(|name| operations.contains(&name.as_str()))
    }

    /// Returns the flags that select the same.
    pub fn flags(&self) -> Vec<String> {
        let flag = |flag: &str, names: &Option<Vec<String>>| {
            let names = names.as_ref().map(|names| names.join(","));
            names.map(|names| [flag.to_owned(), names])
        };
        let flags = [
            flag("--ops", &self.operations),
            flag("--fields", &self.fields),
        ];
        flags.into_iter().flatten().flatten().collect()
    }
}
