//! The tools that write images for cases that name a writer: opened when they are first asked for.
//!
//! The runners of a campaign share them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::oracle::observations::{HarnessAction, Step, Task};
use crate::tool::writing::{self, Form};
use crate::tool::{self, Tool, ToolEnv, ToolSpec};

/// The writers of a run.
#[derive(Default)]
pub struct Writers {
    tool_env: Option<ToolEnv>,
    /// Those that may be asked; any other tool of this machine may, too, if one of them is `all`.
    specs: Vec<ToolSpec>,
    open: Mutex<BTreeMap<String, Option<Arc<dyn Tool>>>>,
}

impl Writers {
    /// Returns the writers of these specs.
    pub fn new(tool_env: ToolEnv, specs: Vec<ToolSpec>) -> Self {
        Self {
            tool_env: Some(tool_env),
            specs,
            open: Mutex::default(),
        }
    }

    /// Returns the writer of this name, if it may be asked and is here.
    pub fn named(&self, name: &str) -> Option<Arc<dyn Tool>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let tool = open.entry(name.to_owned()).or_insert_with(|| {
            let named = self.specs.iter().find(|spec| spec.name == name).cloned();
            let any = self.specs.iter().any(ToolSpec::is_all);
            let spec = named.or_else(|| any.then(|| ToolSpec::named(name)))?;
            tool::open(&spec, self.tool_env.as_ref()?).ok()
        });
        tool.clone()
    }

    /// Why the image of a case is not written: nobody of this name may be asked, or makes it.
    pub(super) fn objection(&self, steps: &[Step]) -> Option<String> {
        let mut written = steps.iter().filter_map(|step| match &step.task {
            Task::Harness(HarnessAction::WriteByTool { writer, file, .. }) => Some((writer, file)),
            _ => None,
        });
        let (writer, file) = written.next()?;
        let Some(tool) = self.named(writer) else {
            return Some(format!("the writer {writer} is not here, or not asked"));
        };
        let form = Form {
            format: file.format,
            name: "",
            options: file.options.clone(),
        };
        let makes = writing::makes(&*tool, &form);
        (!makes).then(|| format!("{writer} does not make such a {}", file.format))
    }
}
