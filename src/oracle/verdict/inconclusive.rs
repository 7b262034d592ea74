//! Why a check could not be made, in one word.
//!
//! Given by the judges; read by reports. The names are a contract: records hold them.

use std::fmt;

/// Writes out the reasons with their names.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a check could not be made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum InconclusiveKind {
            $($(#[$doc])* $variant,)*
        }

        impl InconclusiveKind {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in records.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// The reference ran out of time.
    QemuTimeout = "inconclusive_qemu_timeout",
    /// Both ran out of time.
    BothTimeout = "inconclusive_both_timeout",
    /// The reference used up more than a tool may: memory, the disk, processes.
    ReferenceLimit = "inconclusive_reference_limit",
    /// Both used up more than a tool may, of the same.
    BothLimit = "inconclusive_both_limit",
    /// The reference died.
    ReferenceCrash = "inconclusive_reference_crash",
    /// What the reference made does not pass its own check, or it cannot read it back.
    ReferenceUnsound = "inconclusive_reference_unsound",
    /// The candidate says itself that its repair is not complete.
    RepairConservative = "inconclusive_repair_conservative",
    /// The reference cannot say what is wrong with a damaged image.
    RepairNoBaseline = "inconclusive_repair_no_baseline",
}

impl fmt::Display for InconclusiveKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_by_its_name() {
        let name = "inconclusive_reference_unsound";
        assert_eq!(InconclusiveKind::ReferenceUnsound.to_string(), name);
    }
}
