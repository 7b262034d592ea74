//! The rules for the layers of a chain, and for steps on backing images.

use super::super::Chain;
use super::super::chain_state::ChainState;
use super::super::step::{ChainStep, Layer};
use super::{Rejection, Sensible, TOO_LARGE, Unsettled, holds, only_if};
use crate::image::format::Format;
use crate::oracle::observations::ExitExpectation;
use crate::tool::request::{BackingName, Directory, ImageFile};

impl Layer {
    /// Returns why the layer cannot be created, over `below` if given, or why a guest would not see the expected
    /// contents.
    pub fn objection(&self, below: Option<&Self>) -> Option<&'static str> {
        if self.outside.is_some() {
            // It is there already. What it lies on is there, too, or was left out.
            let is_whole = below.is_none_or(|below| below.outside.is_some());
            return (!is_whole).then_some("an image from outside lies on others from outside only");
        }
        let file = ImageFile::new("", self.format).with_options(self.options.clone());
        if !holds(&file, self.size) {
            return Some(TOO_LARGE);
        }
        let has_data_file = self.options.data_file().is_some();
        if self.placement.directory != Directory::Own && has_data_file {
            return Some("tools look for an external data file in different directories");
        }
        let below = below?;
        if let Some(why) = self.objection_of_name(below) {
            return Some(why);
        }
        let is_vmdk = |layer: &Self| layer.format == Format::Vmdk;
        match self.format {
            Format::Qcow2 | Format::Qcow | Format::Vmdk | Format::Qed => {}
            _ => return Some("an image of this format lies on no other"),
        }
        if is_vmdk(self) && !is_vmdk(below) {
            return Some("a vmdk lies on a vmdk only");
        }
        if below.is_guessed_under(self.format) {
            return Some("the format of the image below is guessed wrongly");
        }
        let is_raw = file.options.data_file_raw() == Some(true);
        is_raw.then_some("a data file that stays a raw image has nothing below it")
    }

    /// Returns why the image cannot record `below` by a name of this form.
    fn objection_of_name(&self, below: &Self) -> Option<&'static str> {
        if self.placement.names == BackingName::Relative {
            return None;
        }
        if self.placement.names == BackingName::Absolute {
            let records = matches!(self.format, Format::Qcow2 | Format::Qcow | Format::Qed);
            let none = "an absolute name is not recorded in an image of this format";
            return (!records).then_some(none);
        }
        if self.format != Format::Qcow2 {
            return Some("an image of this format records plain names");
        }
        // Such a name is relative to the directory of the process.
        if self.placement.directory != Directory::Own {
            return Some("a name with a protocol is relative to another directory");
        }
        let below = ImageFile::new("", below.format).with_options(below.options.clone());
        let locked = "the options of an encrypted image are no place for its secret";
        below.is_encrypted().then_some(locked)
    }
}

impl Chain {
    /// Whether each layer can be created on the layer below it.
    pub fn is_makeable(&self) -> bool {
        let below = std::iter::once(None).chain(self.layers.iter().map(Some));
        let mut pairs = self.layers.iter().zip(below);
        pairs.all(|(layer, below)| layer.objection(below).is_none())
    }
}

impl ChainState {
    /// An overlay shows its backing images wherever it has no data of its own, and only the tools know where that is.
    /// So the guest-visible contents of a backing image must not change. It may grow, because an overlay reads zeros
    /// beyond its end anyway.
    pub(super) fn sense_below(&self, layer: usize, step: &ChainStep) -> Sensible {
        let Some(lower) = self.lower(layer) else {
            return Err(Unsettled("there is no such image below the current one"));
        };
        let unsettled = "what is seen in that image is not settled";
        only_if(!self.is_unsettled(layer), Unsettled(unsettled))?;
        let is_nested = step.is_copy()
            || matches!(
                step,
                ChainStep::Below { .. } | ChainStep::Refused { .. } | ChainStep::Opened { .. }
            );
        let nested = "a copy of an image below the current one would lie below nothing";
        only_if(!is_nested, Unsettled(nested))?;
        // A write changes the content id by which a vmdk identifies its parent, so that the overlay cannot be read any
        // more (VMDK specification, parentCID).
        let is_parent = self.format_above(layer) == Some(Format::Vmdk);
        let child = "a vmdk on another one is not its child any more when that changes";
        only_if(
            !is_parent || lower.request(step).is_reading(),
            Unsettled(child),
        )?;
        let is_resize = matches!(step, ChainStep::Resize { .. });
        let expected_exit = lower.expected_exit(step);
        let keeps = "the image below may keep its size";
        only_if(
            !is_resize || expected_exit == ExitExpectation::Succeed,
            Unsettled(keeps),
        )?;
        let mut after = lower.clone();
        after.advance_as_expected(step);
        let (seen, then) = (&lower.model.top, &after.model.top);
        let stays = then.size >= seen.size && seen.shows_the_same(then);
        let seen = "what is seen in the images above the one that is changed is not settled";
        match lower.sense(step) {
            Err(rejection @ Rejection::Unsettled(_)) => Err(rejection),
            rest => only_if(stays, Unsettled(seen)).and(rest),
        }
    }
}
