//! The reasons why a check could not be made.
//!
//! The judges set them; reports read them. The names are stable, because records contain them.

use std::fmt;

/// Defines the reasons with their names.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a check could not be made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum InconclusiveKind {
            $($(#[$doc])* $variant,)*
        }

        impl InconclusiveKind {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns its name in records.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// The reference timed out.
    QemuTimeout = "inconclusive_qemu_timeout",
    /// Both timed out.
    BothTimeout = "inconclusive_both_timeout",
    /// The reference exceeded a resource limit: memory, disk, processes.
    ReferenceLimit = "inconclusive_reference_limit",
    /// Both exceeded the same resource limit.
    BothLimit = "inconclusive_both_limit",
    /// The reference crashed.
    ReferenceCrash = "inconclusive_reference_crash",
    /// The reference's own output fails its check, or the reference cannot read it.
    ReferenceUnsound = "inconclusive_reference_unsound",
    /// A worker saw the candidate and the model disagree, and a second run, call by call, did not.
    NotRepeated = "inconclusive_not_repeated",
    /// The candidate itself reports an incomplete repair.
    RepairConservative = "inconclusive_repair_conservative",
    /// The reference cannot determine the errors of a damaged image.
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
