//! What every tool says of one image from outside, and which of them agree.
//!
//! `imgduel inspect` calls it. Each tool gets the files in a directory of its own and only reads; no tool is the reference, and who is right is not said.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;

use super::outside_image::OutsideImage;
use super::shared_copy::SharedCopy;
use crate::base::error::Result;
use crate::image::content::Contents;
use crate::process::SandboxPolicy;
use crate::process::scratch::Root;
use crate::tool::request::{Answer, Exit, Report, Request, Window};
use crate::tool::{CallContext, Support, Tool, model};

/// With what tools look at an image.
pub struct Looking<'run> {
    /// Where their directories are made.
    pub workdir: &'run Path,
    /// The wall time limit of one call.
    pub limit: Duration,
    /// What a tool may do.
    pub sandbox: &'run SandboxPolicy,
}

/// What a tool says of an image.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The tool's name and version.
    pub tool: String,
    /// What came of reading it.
    pub outcome: Outcome,
    /// What its check says, if it has one: `None` if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What its map says, if it has one: `None` if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<Mapping>,
    /// The CPU time of its calls, in milliseconds.
    pub cpu_ms: u64,
}

/// What a tool's map says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// The guest ranges (offset, length) in bytes that hold data, ascending, without those that are known to be zeros.
    Data(Vec<(u64, u64)>),
    /// It has none, with its words.
    Refuses(String),
}

/// What came of reading an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The guest-visible contents.
    Read(Seen),
    /// The tool refuses the image, with its words.
    Refuses(String),
    /// The tool crashed, or exceeded a limit.
    Dies(String),
    /// The tool was asked, and does not know this feature of the image, or reads none that is so large.
    Unsupported(String),
    /// The tool was not asked: it does not read such images.
    Skipped(String),
}

/// What a tool reads, and with whom it agrees.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The guest-visible size in bytes.
    pub size: u64,
    /// How many bytes lie in blocks of 4096 bytes that are not all zero.
    pub non_zero_bytes: u64,
    /// The group of tools that see the same: 0 is the largest.
    pub group: usize,
    /// Where its contents first differ from those of group 0, and what both show there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<String>,
    /// The guest ranges (offset, length) in bytes that differ from those of group 0, rounded to blocks of 4096 bytes.
    pub ranges: Vec<(u64, u64)>,
    #[serde(skip)]
    contents: Contents,
}

/// Lets each tool look at an image.
pub fn of_all(
    tools: &[Arc<dyn Tool>],
    image: &OutsideImage,
    looking: &Looking<'_>,
) -> Result<Vec<View>> {
    let mut copy = SharedCopy::new(image, looking.workdir);
    let views = tools.iter().map(|tool| view(&**tool, &mut copy, looking));
    let mut views = views.collect::<Result<Vec<View>>>()?;
    if !copy.is_as_the_image()? {
        // A tool changed it, and no time told: everyone looks again, at a copy of its own.
        let views_of_own = tools.iter().map(|tool| {
            let mut own = SharedCopy::new(image, looking.workdir);
            view(&**tool, &mut own, looking)
        });
        views = views_of_own.collect::<Result<Vec<View>>>()?;
    }
    compare(&mut views);
    Ok(views)
}

fn view(tool: &dyn Tool, copy: &mut SharedCopy<'_>, looking: &Looking<'_>) -> Result<View> {
    let image = copy.image();
    let file = || image.file.clone();
    let mut view = View {
        tool: format!("{} {}", tool.name(), tool.version()),
        outcome: Outcome::Skipped(String::new()),
        check: None,
        map: None,
        cpu_ms: 0,
    };
    let contents = Request::Contents { file: file() };
    if let Some(what) = image.foreign {
        view.outcome = Outcome::Skipped(format!("the file is {what}"));
        return Ok(view);
    }
    if let Support::No(why) = tool.support(&contents) {
        view.outcome = Outcome::Skipped(why);
        return Ok(view);
    }
    let directory = Root::make(looking.workdir, "inspect")?;
    copy.lend(directory.path())?;
    let call_context = CallContext {
        directory: directory.path(),
        limit: looking.limit,
        grace: Duration::ZERO,
        sandbox: looking.sandbox,
        memory_bytes_max: None,
    };
    let (answer, mut cpu) = asked(tool, &contents, &call_context)?;
    view.outcome = outcome(answer);
    let check = Request::Check { file: file() };
    if image.file.format.is_checked() && tool.support(&check) == Support::Yes {
        let (answer, took) = asked(tool, &check, &call_context)?;
        cpu += took;
        view.check = Some(checked(&answer));
    }
    let map = Request::Map {
        file: file(),
        window: Window::WHOLE,
    };
    if view.seen().is_some() && tool.support(&map) == Support::Yes {
        let (answer, took) = asked(tool, &map, &call_context)?;
        cpu += took;
        view.map = Some(mapped(&answer));
    }
    copy.returned();
    view.cpu_ms = cpu.as_millis() as u64;
    Ok(view)
}

/// What a tool answers, and the CPU time that it took. The model works in this thread.
fn asked(
    tool: &dyn Tool,
    request: &Request,
    call_context: &CallContext<'_>,
) -> Result<(Answer, Duration)> {
    let own = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let before = own();
    let answer = tool.ask(request, call_context)?;
    let took = match tool.name() == model::NAME {
        true => own().saturating_sub(before),
        false => answer.usage.cpu,
    };
    Ok((answer, took))
}

fn outcome(answer: Answer) -> Outcome {
    let words = answer.describe();
    match (answer.exit, answer.report) {
        (Exit::Success, Report::Contents(contents)) => Outcome::Read(Seen {
            size: contents.size,
            // The blocks are whole, and the last one may reach behind the end.
            non_zero_bytes: contents.non_zero_bytes().min(contents.size),
            group: 0,
            differs: None,
            ranges: Vec::new(),
            contents,
        }),
        (Exit::Unsupported(feature), _) => Outcome::Unsupported(feature),
        (Exit::Success | Exit::Refused(_), _) => Outcome::Refuses(words),
        (Exit::Crashed(_) | Exit::TimedOut(_) | Exit::HitLimit(_), _) => Outcome::Dies(words),
    }
}

/// The ranges with data of a map, joined where they touch.
fn mapped(answer: &Answer) -> Mapping {
    let extents = answer.report.tree().ok().and_then(Value::as_array);
    let Some(extents) = extents.filter(|_| answer.succeeded()) else {
        return Mapping::Refuses(answer.describe());
    };
    let mut data: Vec<(u64, u64)> = Vec::new();
    for extent in extents {
        let [start, length] = ["start", "length"].map(|name| extent[name].as_u64().unwrap_or(0));
        let is_data = extent["data"] == true && extent["zero"] != true;
        match data.last_mut() {
            _ if !is_data => {}
            Some((first, before)) if *first + *before == start => *before += length,
            _ => data.push((start, length)),
        }
    }
    Mapping::Data(data)
}

/// A check in words.
fn checked(answer: &Answer) -> String {
    match &answer.report {
        Report::Check(counts) => {
            let wrong = counts.errors().into_iter().filter(|(_, count)| *count > 0);
            let wrong: Vec<String> = wrong
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            match wrong.is_empty() {
                true => "sound".to_owned(),
                false => wrong.join(", "),
            }
        }
        _ => answer.describe(),
    }
}

/// Puts the tools that see the same into groups, the largest first, and says where the others differ from that.
fn compare(views: &mut [View]) {
    let mut groups: Vec<(Contents, usize)> = Vec::new();
    for seen in views.iter().filter_map(View::seen) {
        match groups
            .iter_mut()
            .find(|(contents, _)| *contents == seen.contents)
        {
            Some((_, members)) => *members += 1,
            None => groups.push((seen.contents.clone(), 1)),
        }
    }
    // The first tool's group is first among equals.
    groups.sort_by_key(|(_, members)| std::cmp::Reverse(*members));
    let Some((most, _)) = groups.first().cloned() else {
        return;
    };
    for view in views {
        let Outcome::Read(seen) = &mut view.outcome else {
            continue;
        };
        let group = groups
            .iter()
            .position(|(contents, _)| *contents == seen.contents);
        seen.group = group.unwrap_or_default();
        seen.differs = seen.contents.difference(&most).map(|found| {
            let (here, there) = (found.first, found.second);
            format!("{}: {here}, most see {there}", found.place)
        });
        if seen.size == most.size {
            seen.ranges = seen.contents.differing_ranges(&most);
        }
    }
}

impl Seen {
    /// What the tool reads.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }
}

impl View {
    /// How it stands: what came of it, and with whom the tool agrees. It does not depend on what the data are.
    pub fn stand(&self) -> String {
        match &self.outcome {
            Outcome::Read(seen) => format!("reads as group {}", seen.group),
            Outcome::Refuses(_) => "refuses".to_owned(),
            Outcome::Dies(_) => "dies".to_owned(),
            Outcome::Unsupported(_) | Outcome::Skipped(_) => "skips it".to_owned(),
        }
    }

    /// What it reads, if it reads the image.
    pub fn seen(&self) -> Option<&Seen> {
        match &self.outcome {
            Outcome::Read(seen) => Some(seen),
            _ => None,
        }
    }
}

/// Whether the tools that looked at an image agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// All of at least two tools that read it see the same, and none died of it.
    Same,
    /// Fewer than two tools read it: nothing was compared.
    NotCompared,
    /// Tools see different contents, or one died.
    Apart,
}

/// Compares what they say.
pub fn agreement(views: &[View]) -> Agreement {
    let is_apart = |view: &View| match &view.outcome {
        Outcome::Read(seen) => seen.group > 0,
        Outcome::Dies(_) => true,
        Outcome::Refuses(_) | Outcome::Unsupported(_) | Outcome::Skipped(_) => false,
    };
    if views.iter().any(is_apart) {
        return Agreement::Apart;
    }
    match views.iter().filter_map(View::seen).count() {
        0 | 1 => Agreement::NotCompared,
        _ => Agreement::Same,
    }
}
