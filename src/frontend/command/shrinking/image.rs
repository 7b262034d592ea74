//! The image stage of `imgduel shrink`: the image from outside of a case is made smaller, too, and kept beside the finding.

use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::prose::counted;
use crate::campaign::settings::Settings;
use crate::case::generation::start_image::StartImage;
use crate::case::generation::{Generation, Selection};
use crate::case::shrink::Symptom;
use crate::case::{Case, CaseId};
use crate::operation::Operation;
use crate::operation::chain::{Chain, ChainStep};
use crate::operation::written::{Look, Writer, Written};
use crate::process::{Interrupt, stop_requested};
use crate::report::seed_file::SeedFile;
use crate::run::case_image::{self, Reading, Retold};
use crate::run::record::{Class, Record};
use crate::run::session::Session;
use crate::tool::request::Window;

/// What came of it.
pub(super) struct ImageShrunk {
    /// The record of the case on the smaller image.
    pub(super) record: Record,
    /// How much smaller it is, and where it is kept, in one line.
    pub(super) words: String,
}

/// Makes the image of a record's case smaller while the case shows the symptom, and keeps it in a directory beside the finding at `path`. `None` for a case
/// without such an image, and where nothing of it can be given back.
pub(super) fn shrink(
    session: &Session,
    settings: &Settings,
    record: &Record,
    symptom: &Symptom,
    path: &Path,
) -> Result<Option<ImageShrunk>> {
    let case = record.case_shown()?;
    if case.from.is_none() {
        return Ok(None);
    }
    let (workdir, sandbox) = (settings.workdir(), settings.sandbox());
    let reading = Reading {
        workdir: &workdir,
        limit: settings.timeout,
        sandbox: &sandbox,
        reference: session.reference(),
    };
    let known_too = record.class() == Class::Known;
    let mut shows = |case: &Case| {
        if stop_requested() != Interrupt::None {
            return Ok(false);
        }
        let tried = session.try_case(case.clone())?;
        Ok(symptom.is_among(&tried.symptoms(known_too)))
    };
    let Some(smaller) = case_image::shrink(case, &reading, &mut shows)? else {
        return Ok(None);
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = path.with_file_name(format!("{stem}-image"));
    smaller.image.save(&directory)?;
    let mut case = smaller.case;
    let file = directory.join(&smaller.image.file.path);
    if let Some(from) = &mut case.from {
        from.path = std::path::absolute(&file).unwrap_or(file.clone());
    }
    let (before, after) = smaller.blocks;
    let steps: String = smaller
        .steps
        .iter()
        .map(|step| format!(", {step}"))
        .collect();
    let words = format!(
        "  the image: {after} of {} of data left{steps}, in {} and {:.1} s: {}\n",
        counted(before as u64, "block"),
        counted(smaller.attempts as u64, "attempt"),
        smaller.duration.as_secs_f64(),
        file.display()
    );
    let recipe = case_image::retell(&case, &smaller.image, &reading, shows)?;
    let retold = recipe.map(|recipe| told(session, recipe, &directory));
    let words = words + &retold.transpose()?.unwrap_or_default();
    let record = session.try_case(case)?;
    Ok(Some(ImageShrunk { record, words }))
}

/// Says that one of our own writers makes an image on which the case shows the same, and keeps the recipe beside the image: as a case of its own where tools
/// differ over that, too.
fn told(session: &Session, retold: Retold, directory: &Path) -> Result<String> {
    let features: Vec<&str> = retold
        .image
        .top()
        .unusual
        .iter()
        .map(|feature| feature.name())
        .collect();
    let how = match features.is_empty() {
        true => "nothing unusual".to_owned(),
        false => features.join(", "),
    };
    let id = CaseId::in_campaign("readers3", 0, 0);
    let case = Case {
        ops: vec![Operation::Written(Written {
            writer: Writer::Own,
            image: retold.image,
            looks: Look::ALL.to_vec(),
        })],
        ..Generation::case(&id, &Selection::ALL)?
    };
    let record = session.try_case(case.clone())?;
    let data = match retold.has_guest_data {
        true => " and a guest's data",
        false => "",
    };
    let said = format!("  our own writer makes an image that shows the same, with {how}{data}");
    let Some(group) = record.group() else {
        let line = serde_json::to_string(&case);
        let line = line.map_err(|error| Error::system(error.to_string()))?;
        return Ok(format!("{said}: {line}\n"));
    };
    let path = directory.join("recipe.json");
    SeedFile::resolved(&record, &group, None).write(&path)?;
    Ok(format!("{said}: imgduel replay {}\n", path.display()))
}

/// Returns the case that looks at an image in every way that does not change it.
pub(in super::super) fn looks(image: &StartImage) -> Result<Case> {
    let id = CaseId::in_campaign(&format!("native3_f{}", image.from.short()), 0, 0);
    let images = std::slice::from_ref(image);
    let drawn = Generation::case_from(&id, &Selection::ALL, images)?;
    let mut steps = vec![ChainStep::Info, ChainStep::Read];
    // Of other formats the reference has no check, and what it cannot do is no case.
    steps.extend(image.format.is_checked().then_some(ChainStep::Check));
    steps.push(ChainStep::Map {
        window: Window::WHOLE,
    });
    let chain = Chain {
        layers: image.layers.clone(),
        steps,
    };
    Ok(Case {
        ops: vec![Operation::Chain(chain)],
        ..drawn
    })
}
