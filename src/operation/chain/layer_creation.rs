//! The steps that make the layers of a chain: the reference creates them, or each side gets its copy of files from outside.

use super::{Chain, ChainState, Layer, MADE, shared_step};
use crate::base::size::Size;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::image::outside::OutsideFile;
use crate::oracle::observations::{ExitExpectation, HarnessAction, Step, StepContext};
use crate::tool::request::{ImageFile, Request};

impl Chain {
    /// Returns the steps that create the layers.
    pub(super) fn creation_steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let mut chain_state = ChainState::bare(&context.stem);
        let made = |request| Step {
            kind: MADE,
            ..shared_step(request, ExitExpectation::Succeed)
        };
        let mut steps = Vec::new();
        for layer in &self.layers {
            chain_state.add_layer(layer);
            let file = chain_state.top();
            steps.push(match &layer.outside {
                Some(outside) => placing(file, outside),
                None => made(Request::Create {
                    file: with_backing_options(file),
                    size: Size::of_bytes(layer.size),
                }),
            });
            // What nobody wrote to an encrypted volume decrypts to anything.
            steps.extend((layer.format == Format::Luks).then(|| {
                made(Request::WriteZeroes {
                    file: file.clone(),
                    offset: 0,
                    length: layer.size,
                    unmap: false,
                })
            }));
            steps.extend((!layer.writes.is_empty()).then(|| {
                made(Request::Write {
                    file: file.clone(),
                    writes: layer.writes.clone(),
                })
            }));
            for step in &layer.steps {
                steps.push(made(chain_state.request(step)));
                chain_state.advance_as_expected(step);
            }
        }
        steps
    }
}

/// Returns the topmost image of layers that all come from outside, and the steps that give a side its copies of them.
pub fn placed(layers: &[Layer]) -> (ImageFile, Vec<Step>) {
    let mut chain_state = ChainState::bare("");
    let mut steps = Vec::new();
    for layer in layers {
        chain_state.add_layer(layer);
        let outside = layer.outside.iter();
        steps.extend(outside.map(|outside| placing(chain_state.top(), outside)));
    }
    (chain_state.top().clone(), steps)
}

/// Returns the step that gives a side its copy of a file from outside.
fn placing(file: &ImageFile, outside: &OutsideFile) -> Step {
    let action = HarnessAction::Place {
        file: file.clone(),
        digest: outside.digest.clone(),
        names: outside.names(),
    };
    Step {
        kind: MADE,
        expected_exit: ExitExpectation::Succeed,
        ..Step::harness(action)
    }
}

/// Returns the file with the options that set its backing file.
fn with_backing_options(file: &ImageFile) -> ImageFile {
    let mut file = file.clone();
    if let Some(backing) = &file.backing {
        let named = [
            CreateOption::BackingFile(file.name_for(backing)),
            CreateOption::BackingFormat(backing.format),
        ];
        file.options.extend(named);
    }
    file
}
