//! Tools without which a run must not go on: a comparison that silently does not happen proves nothing.
//!
//! Both entry points ask before they open anything else.

use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::oracle::witness::Witnesses;
use crate::tool::{self, ToolEnv, ToolSpec};

/// Fails unless every tool of `--require-tool`, and with `--fail-without-witness` every witness, is installed.
pub fn check(settings: &Settings, tool_env: &ToolEnv) -> Result<()> {
    if settings.required_tools.is_empty() && !settings.fail_without_witness {
        return Ok(());
    }
    let witnesses = Witnesses::find(settings.timeout);
    if settings.fail_without_witness
        && let Some(missing) = witnesses.missing()
    {
        return Err(Error::missing_tool(missing));
    }
    let versions = witnesses.versions();
    for name in &settings.required_tools {
        match versions.get(name.as_str()) {
            Some(Some(_)) => {}
            Some(None) => {
                let missing = witnesses.missing().unwrap_or_else(|| name.clone());
                return Err(Error::missing_tool(missing));
            }
            None => is_complete(&*tool::open(&name.parse::<ToolSpec>()?, tool_env)?)?,
        }
    }
    Ok(())
}

/// qemu-img without qemu-io cannot make source images.
fn is_complete(tool: &dyn tool::Tool) -> Result<()> {
    match tool.name() == "qemu-img" {
        true => crate::campaign::candidate_set::can_make_fixtures(tool),
        false => Ok(()),
    }
}
