//! Variables of the environment by which people tell tools where their modules and libraries are, and which tools do not see here.
//!
//! Said by the command before a run and by `imgduel tools`: a tool that is there in the person's shell, and not here, has its reason.

use std::env;

use super::Settings;

/// Those that decide which modules and libraries a tool has.
const DECISIVE: [&str; 4] = ["PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD"];

impl Settings {
    /// What is set, and not passed on, in a line; nothing when there is nothing to say.
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

/// `cargo run` and `cargo test` set the path of libraries themselves.
fn is_of_cargo(name: &str, part: &str) -> bool {
    name == "LD_LIBRARY_PATH"
        && env::var_os("CARGO").is_some()
        && ["/target/", "/toolchains/", "/rustlib/"]
            .iter()
            .any(|place| part.contains(place))
}
