//! Validates a chain from a file: numbers that would overflow, empty names, indices of images.
//!
//! The rules decide whether a step is meaningful ([`ChainState::admit`](super::ChainState::admit)); a step may reach
//! beyond the end of an image.

use super::Chain;
use super::step::{ChainStep, Layer};
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::validity::{self, Validity};
use crate::tool::request::{BUFFER_BYTES_MAX, Fault, SessionRequest, singles};

/// The maximum numbers of layers and steps: for each step, all steps before it are replayed.
const LAYERS_MAX: usize = 64;
const STEPS_MAX: usize = 100_000;

/// The maximum index of a layer: the shrinker tries all smaller ones.
const PLACE_MAX: u64 = LAYERS_MAX as u64 - 1;

/// The maximum number of the call that fails: the shrinker tries all smaller ones.
const FAULT_NUMBER_MAX: u64 = 1000;

/// The maximum number of requests of one bench.
const REQUESTS_MAX: u64 = 1 << 20;

impl Chain {
    /// Validates the layers from the bottom, then the steps.
    pub(super) fn validity_of_all(&self) -> Validity {
        validity::not_empty("layers", &self.layers)?;
        let steps = self.layers.iter().map(|layer| layer.steps.len());
        let steps = steps.sum::<usize>() + self.steps.len();
        if self.layers.len() > LAYERS_MAX || steps > STEPS_MAX {
            let layers = self.layers.len();
            return Err(format!(
                " has {layers} layers and {steps} steps: write at most {LAYERS_MAX} and {STEPS_MAX}"
            ));
        }
        validity::each("layers", &self.layers, Layer::validity)?;
        validity::each("steps", &self.steps, ChainStep::validity)?;
        let of_layers = self.layers.iter().flat_map(|layer| {
            let writes = layer.writes.iter().map(|write| write.length);
            writes.chain(layer.steps.iter().map(ChainStep::written))
        });
        validity::written(
            "layers and steps",
            of_layers.chain(self.steps.iter().map(ChainStep::written)),
        )
    }
}

impl Layer {
    fn validity(&self) -> Validity {
        validity::number("size", self.size, 1..=validity::BYTES_MAX)?;
        self.options.validity("options")?;
        if let Some(outside) = &self.outside {
            validity::at("outside", outside.validity())?;
        }
        validity::writes("writes", &self.writes)?;
        validity::each("acts", &self.steps, |step| match step {
            ChainStep::Refused { .. } => Err(" is refused: write it among the steps".to_owned()),
            ChainStep::Fault { .. } => Err(" is faulty: write it among the steps".to_owned()),
            ChainStep::Below { .. } => {
                Err(" is below: write it among the steps of the layer below".to_owned())
            }
            _ => step.validity(),
        })
    }
}

impl ChainStep {
    /// Returns how many bytes other than zero the step writes.
    fn written(&self) -> u64 {
        match self {
            Self::Write { writes } => {
                let lengths = writes.iter().map(|write| write.length);
                lengths.fold(0, u64::saturating_add)
            }
            Self::Bench {
                count,
                length,
                byte: Some(_),
                ..
            } => count.saturating_mul(*length),
            Self::Session { requests } => {
                let writes = singles(requests).filter(|request| request.needs() == Some("write"));
                let lengths = writes.filter_map(|request| Some(request.range()?.1));
                lengths.fold(0, u64::saturating_add)
            }
            Self::Below { step, .. } | Self::Refused { step } | Self::Fault { step, .. } => {
                step.written()
            }
            _ => 0,
        }
    }

    fn validity(&self) -> Validity {
        match self {
            Self::Write { writes } => {
                validity::not_empty("writes", writes)?;
                validity::writes("writes", writes)
            }
            Self::WriteZeroes { offset, length, .. } | Self::Discard { offset, length } => {
                validity::range(*offset, *length)
            }
            Self::Resize { size, .. } => validity::number("size", *size, 1..=validity::BYTES_MAX),
            Self::Snapshot { name, .. } => validity::name("name", name),
            Self::Amend { options } => {
                validity::not_empty("options", options.as_slice())?;
                options.validity("options")
            }
            Self::Convert(to) => to.options.validity("options"),
            Self::ConvertSnapshot { name, to, .. } => {
                validity::name("name", name)?;
                to.options.validity("options")
            }
            Self::Below { layer, step } => {
                place("layer", Some(*layer))?;
                match &**step {
                    Self::Below { .. } | Self::Refused { .. } => {
                        Err("act is below or refused once more: write another one".to_owned())
                    }
                    step => validity::at("act", step.validity()),
                }
            }
            Self::Opened { step, .. } => plain(step),
            Self::Refused { step } => match &**step {
                Self::Refused { .. } => {
                    Err("act is refused once more: write another one".to_owned())
                }
                step => validity::at("act", step.validity()),
            },
            Self::Rebase { .. }
            | Self::Commit { .. }
            | Self::Measure { .. }
            | Self::Bitmap { .. } => self.validity_of_references(),
            Self::Compare { with } => place("with", *with),
            Self::Dd { block_size, .. } => {
                validity::number("block_size", *block_size, 1..=validity::BYTES_MAX)
            }
            Self::Bench {
                count,
                length,
                offset,
                stride,
                depth,
                ..
            } => {
                validity::number("depth", *depth, 1..=u64::from(u16::MAX))?;
                benched(*count, *length, *offset, *stride)
            }
            Self::Fault { step, fault } => faulty(step, *fault),
            Self::Session { requests } => session(requests),
            Self::ConvertInto { .. }
            | Self::Read
            | Self::Map { .. }
            | Self::Info
            | Self::Check
            | Self::Repair { .. }
            | Self::SnapshotList => Ok(()),
        }
    }

    /// Validates the images and snapshots that the step names.
    fn validity_of_references(&self) -> Validity {
        match self {
            Self::Bitmap {
                actions,
                name,
                from,
            } => {
                validity::name("name", name)?;
                place("from", *from)?;
                let mut parts = actions.iter().map(BitmapAction::validity);
                validity::at("flags", parts.find(Result::is_err).unwrap_or(Ok(())))
            }
            Self::Rebase { onto, .. } => place("onto", *onto),
            Self::Commit { base, .. } => place("base", *base),
            Self::Measure {
                options, snapshot, ..
            } => {
                options.validity("options")?;
                let name = snapshot.as_deref();
                name.map_or(Ok(()), |name| validity::name("snapshot", name))
            }
            _ => Ok(()),
        }
    }
}

/// Validates the requests of a bench, each one stride behind the one before.
fn benched(count: u64, length: u64, offset: u64, stride: u64) -> Validity {
    validity::number("count", count, 1..=REQUESTS_MAX)?;
    validity::number("length", length, 1..=validity::WRITTEN_BYTES_MAX)?;
    let moved = (count - 1).saturating_mul(stride);
    validity::range(offset.saturating_add(moved), length)?;
    let written = count.saturating_mul(length);
    validity::written("its requests", std::iter::once(written))
}

/// Validates a step of which one call fails.
fn faulty(step: &ChainStep, fault: Fault) -> Validity {
    validity::number("number", u64::from(fault.number), 1..=FAULT_NUMBER_MAX)?;
    plain(step)
}

/// Validates a step within another one.
fn plain(step: &ChainStep) -> Validity {
    match step {
        ChainStep::Below { .. }
        | ChainStep::Refused { .. }
        | ChainStep::Fault { .. }
        | ChainStep::Opened { .. } => {
            Err("act is below, refused, faulty or opened: write a plain one".to_owned())
        }
        step => validity::at("act", step.validity()),
    }
}

fn session(requests: &[SessionRequest]) -> Validity {
    validity::not_empty("requests", requests)?;
    validity::each("requests", requests, of_session)
}

/// Validates a request of a session, which may lie anywhere: one that reads or writes needs a buffer.
fn of_session(request: &SessionRequest) -> Validity {
    match request {
        SessionRequest::Together { requests } => {
            validity::not_empty("requests", requests)?;
            validity::each("requests", requests, |part| match part {
                SessionRequest::Together { .. } => {
                    Err(" are made together once more: write them among the others".to_owned())
                }
                SessionRequest::Write(write) if write.recipe().is_some() => {
                    Err(" has a texture: those that are made together repeat a byte".to_owned())
                }
                part => of_session(part),
            })
        }
        SessionRequest::Resize { size } => validity::number("size", *size, 1..=validity::BYTES_MAX),
        SessionRequest::WriteVector { lengths, .. }
        | SessionRequest::ReadVector { lengths, .. } => {
            validity::not_empty("lengths", lengths)?;
            if lengths.contains(&0) {
                return Err(" has a buffer of length 0: leave it out".to_owned());
            }
            let length = lengths
                .iter()
                .fold(0, |sum: u64, one| sum.saturating_add(*one));
            validity::number("lengths together", length, 1..=BUFFER_BYTES_MAX)
        }
        SessionRequest::Write(Write { length, .. }) | SessionRequest::Read { length, .. } => {
            validity::number("length", *length, 0..=BUFFER_BYTES_MAX)
        }
        SessionRequest::WriteZeroes { .. }
        | SessionRequest::Discard { .. }
        | SessionRequest::Flush => Ok(()),
    }
}

/// Validates an optional index of a layer, from the bottom.
fn place(name: &str, place: Option<usize>) -> Validity {
    validity::number(name, place.map_or(0, |place| place as u64), 0..=PLACE_MAX)
}
