//! Finds environment variables that locate modules and libraries, but that imgduel does not pass on to tools.
//!
//! The command reports them before a run and in `imgduel tools`, because they explain why a tool works in the user's shell but not here.

use std::env;

use super::Settings;

/// The variables that determine which modules and libraries a tool finds.
const DECISIVE: [&str; 4] = ["PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD"];

impl Settings {
    /// Returns one line about the variables that are set but not passed on; `None` if there are none.
    pub fn unseen_variables(&self) -> Option<String> {
        let is_unseen = |name: &&str| {
            let value = env::var_os(name).unwrap_or_default();
            let value = value.to_string_lossy();
            let passed = self.pass_env.iter().any(|passed| passed == name);
            !passed
                && value
                    .split(':')
                    .any(|part| !part.is_empty() && !is_of_cargo(name, part))
        };
        let unseen: Vec<&str> = DECISIVE.into_iter().filter(is_unseen).collect();
        let (verb, them) = match unseen.len() {
            0 => return None,
            1 => ("is", "it"),
            _ => ("are", "them"),
        };
        let can_be_passed: Vec<&str> = unseen
            .iter()
            .copied()
            .filter(|name| super::values::variable(name).is_ok())
            .collect();
        let advice = match can_be_passed.is_empty() {
            true => String::new(),
            false => format!(
                " (pass on what they need: --pass-env {})",
                can_be_passed.join(",")
            ),
        };
        Some(format!(
            "{} {verb} set, and tools do not see {them}{advice}",
            unseen.join(" and ")
        ))
    }
}

/// Returns whether `cargo run` or `cargo test` added this directory to the library path.
fn is_of_cargo(name: &str, part: &str) -> bool {
    name == "LD_LIBRARY_PATH"
        && env::var_os("CARGO").is_some()
        && ["/target/", "/toolchains/", "/rustlib/"]
            .iter()
            .any(|place| part.contains(place))
}
