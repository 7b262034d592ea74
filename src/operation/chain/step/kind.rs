//! The kinds of steps, without parameters: generators draw from them and weigh them, and `--ops` selects among them.

use std::str::FromStr;

macro_rules! kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// The kind of a step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ChainStepKind {
            $(
                #[doc = concat!("`", $name, "`.")]
                $kind,
            )*
        }

        impl ChainStepKind {
            /// All kinds. New ones are added at the end.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns the name, as in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    Write = "write",
    WriteZeroes = "write_zeroes",
    Discard = "discard",
    Resize = "resize",
    Snapshot = "snapshot",
    Rebase = "rebase",
    Commit = "commit",
    Amend = "amend",
    Bitmap = "bitmap",
    Convert = "convert",
    Read = "read",
    Map = "map",
    Info = "info",
    Check = "check",
    Measure = "measure",
    Compare = "compare",
    Dd = "dd",
    Repair = "repair",
    Bench = "bench",
    SnapshotList = "snapshot_list",
    ConvertSnapshot = "convert_snapshot",
    Below = "below",
    Refused = "refused",
    Session = "session",
    Fault = "fault",
    ConvertInto = "convert_into",
    Opened = "opened",
}

impl FromStr for ChainStepKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|kind| kind.name() == name);
        found
            .copied()
            .ok_or_else(|| format!("there is no step '{name}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_name_of_its_steps_in_json() {
        for kind in ChainStepKind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        let step = crate::operation::chain::ChainStep::SnapshotList;
        let json = serde_json::to_value(&step).unwrap();
        assert_eq!(json["step"], step.kind().name());
        assert!("snapshots".parse::<ChainStepKind>().is_err());
    }
}
