//! Checks of what made most first divergences of an adapter false ones: where an external data file and a backing file are found, and what opens an encrypted
//! image.
//!
//! Only what the adapter does not declare as lacking is asked.

use super::{Check, Examination, difference};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::image::options::CreateOptions;
use crate::tool::Support;
use crate::tool::request::{Exit, ImageFile, Request};

/// A feature of qcow2: its name, the create options of an image with it, and what to do if it is read otherwise.
struct Feature {
    name: &'static str,
    options: &'static [&'static str],
    advice: &'static str,
}

const FEATURES: [Feature; 4] = [
    Feature {
        name: "an external data file",
        options: &["data_file=featured.data"],
        advice: "its name is relative to the image's directory, which is not the adapter's working directory; or name data_file in lacks",
    },
    Feature {
        name: "encryption",
        options: &["encrypt.format=luks", "encrypt.iter-time=10"],
        advice: "the passphrase is always the word secret; or name encrypt.format in lacks",
    },
    Feature {
        name: "extended L2 entries",
        options: &["extended_l2=on"],
        advice: "or name extended_l2=on in lacks",
    },
    Feature {
        name: "compression by zstd",
        options: &["compression_type=zstd"],
        advice: "or name compression_type=zstd in lacks",
    },
];

impl Examination<'_> {
    /// Reads an image with each feature, and an overlay.
    pub(super) fn features(&self) -> Result<Vec<Check>> {
        let mut checks = Vec::new();
        for feature in &FEATURES {
            let file = ImageFile::new("featured", Format::Qcow2);
            let options = CreateOptions::parse(feature.options);
            let Ok(options) = options else { continue };
            let file = file.with_options(options);
            checks.extend(self.feature(feature.name, feature.advice, &file)?);
        }
        let base = ImageFile::new("base", Format::Qcow2);
        let overlay = ImageFile::new("overlay", Format::Qcow2).over(&base);
        let is_made = self.made(&base)?.is_ok();
        let options = overlay.backing.clone().map(|base| base.backing_options());
        let overlay = overlay.with_options(options.map_or_else(Vec::new, Vec::from));
        let advice =
            "its name is relative to the image's directory; or answer with \"backing\": false";
        if is_made {
            checks.extend(self.feature("a backing file", advice, &overlay)?);
        }
        Ok(checks)
    }

    /// Reads one image; `None` if the adapter is not to be asked, or nobody can make it.
    fn feature(&self, name: &str, advice: &str, file: &ImageFile) -> Result<Option<Check>> {
        let contents = Request::Contents { file: file.clone() };
        let is_asked = self.adapter.support(&contents) == Support::Yes;
        let is_known = self.reference.support(&contents) == Support::Yes;
        if !is_asked || !is_known || self.reference.lack(&contents).is_some() {
            return Ok(None);
        }
        let Ok(wanted) = self.made(file)? else {
            return Ok(None);
        };
        let answer = self.ask(self.adapter, &contents)?;
        let failure = match answer.report.contents() {
            // It says so in an orderly way.
            _ if matches!(answer.exit, Exit::Unsupported(_)) => None,
            _ if !answer.succeeded() => Some(answer.describe()),
            Some(found) => difference(found, &wanted),
            None => Some("it gives no \"raw\"".to_owned()),
        };
        Ok(Some(Check {
            what: format!("contents qcow2 with {name}"),
            failure: failure.map(|why| format!("{why} ({advice})")),
        }))
    }
}
