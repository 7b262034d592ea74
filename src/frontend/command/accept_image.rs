//! `imgduel accept-image`: keeps an image from outside as a trial of the test target, without its guest data.
//!
//! The command calls it. Nothing is written to the image. What makes a tool crash, hang or exceed a limit is not kept.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::print_text;
use crate::base::error::{Error, Result};
use crate::base::prose::counted;
use crate::base::whole_file::write_bytes;
use crate::campaign::settings::Settings;
use crate::campaign::tools_here;
use crate::frontend::trial::SEED_DIRECTORY;
use crate::report::seed_file::check_stem;
use crate::report::terminal;
use crate::run::kept_image::{self, FILE_BYTES_MAX, KeptImage, SeenBefore};
use crate::run::outside_image::OutsideImage;
use crate::run::views::{self, Looking, Outcome, View};
use crate::tool::{ToolEnv, ToolSpec};

/// The arguments of `imgduel accept-image`.
#[derive(Args)]
pub(super) struct AcceptImageArguments {
    /// An image
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The name of its trial, an identifier: image::STEM
    #[arg(long = "as", value_name = "STEM")]
    stem: String,

    /// Keep what a guest wrote, which may be somebody's private data; without it a recipe takes its place
    #[arg(long)]
    keep_data: bool,

    /// The tool that sees what is to be seen (default: the largest group that sees the same)
    #[arg(long, value_name = "NAME")]
    seen_by: Option<String>,

    /// Why it is kept
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,

    /// Ask only this tool, as in inspect; more with commas or repeated (default: all of this machine)
    #[arg(long = "tool", value_name = "SPEC", value_delimiter = ',')]
    tools: Vec<ToolSpec>,

    /// The directory of the seeds; images are in `images/` in it
    #[arg(long, value_name = "DIR", env = "IMGDUEL_SEEDS", default_value = SEED_DIRECTORY)]
    seeds: PathBuf,
}

/// Keeps the image, and prints what was kept.
pub(super) fn accept_image(arguments: &AcceptImageArguments) -> Result<ExitCode> {
    let AcceptImageArguments { file, stem, .. } = arguments;
    check_stem(stem)?;
    let path = kept_image::path(&arguments.seeds, stem);
    if path.exists() {
        let why = "there is an image of this name: choose another, or remove it";
        return Err(Error::usage(format!("{}: {why}", path.display())));
    }
    let refused = |why: String| Error::usage(format!("{}: {why}", file.display()));
    let image = OutsideImage::find(file)?;
    let settings = Settings::from_flags::<&str>([])?;
    let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
    let tools = tools_here::open(&arguments.tools, &tool_env)?;
    let (workdir, sandbox) = (settings.workdir(), settings.sandbox());
    let looking = Looking {
        workdir: &workdir,
        limit: settings.timeout,
        sandbox: &sandbox,
    };
    let before = views::of_all(&tools, &image, &looking)?;
    survived(&before).map_err(refused)?;
    let scratch = [scratch()?, scratch()?];
    image.copy_to(scratch[0].path())?;
    let (mut kept, bytes) = KeptImage::of_copy(&image, scratch[0].path(), arguments.keep_data)?;
    let mut made = OutsideImage::find(&kept.make(&bytes, scratch[1].path())?)?;
    made.shown.clone_from(file);
    let after = views::of_all(&tools, &made, &looking)?;
    survived(&after).map_err(refused)?;
    stands_as_before(&before, &after).map_err(refused)?;
    kept.seen = seen(&after, arguments.seen_by.as_deref()).map_err(refused)?;
    kept.why.clone_from(&arguments.why);
    let packed = kept.packed(&bytes)?;
    if packed.len() as u64 > FILE_BYTES_MAX {
        let length = packed.len();
        return Err(refused(format!(
            "its structure takes {length} bytes compressed, and at most {FILE_BYTES_MAX} are kept: make a smaller image that shows the same"
        )));
    }
    write_bytes(&path, &packed, "write the image to")?;
    let length = counted(packed.len() as u64, "byte");
    let mut text = terminal::views::views(&made, &made.described().unwrap_or_default(), &after);
    text.push_str(&format!(
        "{}: {length}, image::{stem} from now on\n",
        path.display()
    ));
    text.push_str(match arguments.keep_data {
        true => "with all of its data\n",
        false => {
            "its guest data are replaced; names and texts of its metadata are kept as they are\n"
        }
    });
    Ok(print_text(&text))
}

/// Fails if a tool did not survive the image.
fn survived(views: &[View]) -> std::result::Result<(), String> {
    let died = views
        .iter()
        .find(|view| matches!(view.outcome, Outcome::Dies(_)));
    died.map_or(Ok(()), |view| {
        Err(format!(
            "{} crashes, hangs or takes too much over it: that is for a private report to its maintainers, and this repository keeps no such image",
            view.tool
        ))
    })
}

/// Fails if a tool stands otherwise over the image with its data replaced.
fn stands_as_before(before: &[View], after: &[View]) -> std::result::Result<(), String> {
    let mut pairs = std::iter::zip(before, after);
    let other = pairs.find(|(before, after)| before.stand() != after.stand());
    other.map_or(Ok(()), |(before, after)| {
        let (tool, was, is) = (&before.tool, before.stand(), after.stand());
        Err(format!(
            "with its guest data replaced {tool} {is}, with them it {was}: --keep-data keeps them, if they may be published"
        ))
    })
}

/// What is to be seen, by the named tool or by the most.
fn seen(views: &[View], by: Option<&str>) -> std::result::Result<SeenBefore, String> {
    let reads = |view: &&View| match by {
        Some(name) => view.tool.split(' ').next() == Some(name) && view.seen().is_some(),
        None => view.seen().is_some_and(|seen| seen.group == 0),
    };
    let first = views.iter().find(reads).and_then(View::seen);
    let first = first.ok_or_else(|| match by {
        Some(name) => format!("{name} does not read it"),
        None => "no tool here reads it, so that there would be nothing to compare".to_owned(),
    })?;
    let alike = views
        .iter()
        .filter(|view| view.seen().is_some_and(|seen| seen.group == first.group));
    Ok(SeenBefore {
        size: first.size,
        digest: first.contents().digest(),
        by: alike.map(|view| view.tool.clone()).collect(),
    })
}

fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir()
        .map_err(|error| Error::io("make a directory in", &std::env::temp_dir(), &error))
}
