//! All tools of this machine, for what is shown to every one of them.
//!
//! `imgduel inspect` and the trials of kept images call it.

use std::sync::Arc;

use crate::base::error::Result;
use crate::tool::{self, Row, TOOLS, Tool, ToolEnv, ToolSpec, libraries};

/// Opens the named tools or, if none is named or one of the names is `all`, the libraries of this program and every tool of this machine, and the named ones besides.
pub fn open(specs: &[ToolSpec], tool_env: &ToolEnv) -> Result<Vec<Arc<dyn Tool>>> {
    let named = specs.iter().filter(|spec| !spec.is_all());
    let named = named.map(|spec| tool::open(spec, tool_env));
    let mut tools = named.collect::<Result<Vec<Arc<dyn Tool>>>>()?;
    if tools.is_empty() || specs.iter().any(ToolSpec::is_all) {
        let brought = libraries::brought().into_iter();
        let here = brought.map(|name| ToolSpec::named(&name));
        let here = here.chain(TOOLS.iter().map(Row::spec));
        let here = here.filter(|spec| !specs.contains(spec));
        tools.extend(here.filter_map(|spec| tool::open(&spec, tool_env).ok()));
    }
    Ok(tools)
}
