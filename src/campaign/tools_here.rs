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
        let reads = TOOLS.iter().filter(|row| !row.only_makes);
        let here = here.chain(reads.map(Row::spec));
        let here = here.filter(|spec| !specs.contains(spec));
        tools.extend(here.filter_map(|spec| tool::open(&spec, tool_env).ok()));
    }
    Ok(tools)
}

/// Opens every tool of this machine that only makes images.
pub fn makers(tool_env: &ToolEnv) -> Vec<Arc<dyn Tool>> {
    let makers = TOOLS.iter().filter(|row| row.only_makes);
    let opened = makers.map(|row| tool::open(&row.spec(), tool_env));
    opened.filter_map(Result::ok).collect()
}
