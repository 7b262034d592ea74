//! `bitmap`: both tools run a sequence of commands that add, remove, clear, enable, disable and merge dirty bitmaps of
//! a qcow2.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::base::variants::{self, CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::{Compat, CreateOption, CreateOptions};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{ExitExpectation, Observations, Output, Step, StepContext};
use crate::oracle::verdict::{DivergenceKind, OutputRole};
use crate::tool::request::qemu_words::InWords;
use crate::tool::request::{ImageFile, Request};

const FIXTURE: DivergenceKind = DivergenceKind::BitmapFixture;
const CLUSTER_SIZES: [u64; 5] = [512, 4096, 65536, 262_144, 2_097_152];
const SIZES: [&str; 4] = ["1M", "4M", "16M", "64M"];
const GRANULARITIES: [u64; 7] = [512, 4096, 65536, 131_072, 262_144, 1_048_576, 2_097_152];

/// qemu-img's default granularity is the cluster size, limited to this range, in bytes.
const DEFAULT_GRANULARITY_BYTES: std::ops::RangeInclusive<u64> = 4096..=65536;

/// The maximum number of bitmaps at a time.
const LIVE_MAX: usize = 6;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bitmap {
    /// The `-o` options of the image, in order.
    pub create_options: CreateOptions,
    /// The virtual size.
    pub size: Size,
    /// The commands.
    pub invocations: Vec<Command>,
}

/// One command. In JSON: the arguments of qemu-img, with the bitmap's name last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Command {
    /// The actions of the command.
    pub actions: Vec<BitmapAction>,
    /// The bitmap's name.
    pub name: String,
}

impl TryFrom<Vec<String>> for Command {
    type Error = String;

    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let empty = || "a command is empty: write flags and a bitmap's name".to_owned();
        let (name, flags) = words.split_last().ok_or_else(empty)?;
        Ok(Self {
            actions: Vec::read(flags)?,
            name: name.clone(),
        })
    }
}

impl From<Command> for Vec<String> {
    fn from(command: Command) -> Self {
        let mut words = command.actions.words();
        words.push(command.name);
        words
    }
}

/// The state of a bitmap while commands are drawn.
struct Live {
    name: String,
    enabled: bool,
    granularity: u64,
}

impl DrawPython for Bitmap {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let size = Size::literal(random.choice::<&str>(&SIZES));
        let count = random.randint(2, 6);
        let mut bitmaps = Bitmaps {
            live: Vec::new(),
            made: 0,
            cluster_size,
        };
        let invocations = (0..count).map(|_| bitmaps.draw(random)).collect();
        let create_options = CreateOptions::from([
            CreateOption::Compat(Compat::Version3),
            CreateOption::ClusterSize(cluster_size),
            CreateOption::RefcountBits(16),
        ]);
        Self {
            create_options,
            size,
            invocations,
        }
    }
}

/// The bitmaps that exist while commands are drawn, in the order of their addition.
struct Bitmaps {
    live: Vec<Live>,
    made: u32,
    cluster_size: u64,
}

impl Bitmaps {
    fn draw(&mut self, random: &mut PythonRandom) -> Command {
        let pairs = self.pairs();
        let enabled = self.names(|bitmap| bitmap.enabled);
        let disabled = self.names(|bitmap| !bitmap.enabled);
        let mut menu: Vec<&str> = Vec::new();
        if self.live.len() < LIVE_MAX {
            menu.extend(["add", "add-disabled"]);
        }
        if !self.live.is_empty() {
            menu.extend(["remove", "clear"]);
        }
        menu.extend((!disabled.is_empty()).then_some("enable"));
        menu.extend((!enabled.is_empty()).then_some("disable"));
        menu.extend((!pairs.is_empty()).then_some("merge"));
        let command = |action: BitmapAction, name: &str| Command {
            actions: vec![action],
            name: name.to_owned(),
        };
        match *random.choice(&menu) {
            "add" => self.add(random),
            "add-disabled" => {
                let name = self.push(false, self.default_granularity());
                Command {
                    actions: vec![
                        BitmapAction::Add { granularity: None },
                        BitmapAction::Disable,
                    ],
                    name,
                }
            }
            "remove" => {
                let name = random.choice::<String>(&self.names(|_| true)).clone();
                self.live.retain(|bitmap| bitmap.name != name);
                command(BitmapAction::Remove, &name)
            }
            "clear" => {
                let name = random.choice::<String>(&self.names(|_| true)).clone();
                command(BitmapAction::Clear, &name)
            }
            "enable" => self.switch(random.choice::<String>(&disabled), true),
            "disable" => self.switch(random.choice::<String>(&enabled), false),
            _ => {
                let (destination, source) = random.choice(&pairs);
                let source = source.clone();
                command(BitmapAction::Merge { source }, destination)
            }
        }
    }

    fn add(&mut self, random: &mut PythonRandom) -> Command {
        let granularity = random.chance(0.5).then(|| *random.choice(&GRANULARITIES));
        let name = self.push(true, granularity.unwrap_or(self.default_granularity()));
        Command {
            actions: vec![BitmapAction::Add { granularity }],
            name,
        }
    }

    fn push(&mut self, enabled: bool, granularity: u64) -> String {
        let name = format!("b{}", self.made);
        self.made += 1;
        self.live.push(Live {
            name: name.clone(),
            enabled,
            granularity,
        });
        name
    }

    fn switch(&mut self, name: &str, enabled: bool) -> Command {
        for bitmap in self.live.iter_mut().filter(|bitmap| bitmap.name == name) {
            bitmap.enabled = enabled;
        }
        let action = match enabled {
            true => BitmapAction::Enable,
            false => BitmapAction::Disable,
        };
        Command {
            actions: vec![action],
            name: name.to_owned(),
        }
    }

    fn names(&self, wanted: impl Fn(&Live) -> bool) -> Vec<String> {
        self.live
            .iter()
            .filter(|bitmap| wanted(bitmap))
            .map(|bitmap| bitmap.name.clone())
            .collect()
    }

    /// Returns the pairs that can be merged: (destination, source) of equal granularity, with the destination enabled.
    fn pairs(&self) -> Vec<(String, String)> {
        let destinations = self.live.iter().filter(|bitmap| bitmap.enabled);
        let pairs = destinations.flat_map(|destination| {
            let sources = self.live.iter().filter(move |source| {
                source.name != destination.name && source.granularity == destination.granularity
            });
            sources.map(move |source| (destination.name.clone(), source.name.clone()))
        });
        pairs.collect()
    }

    fn default_granularity(&self) -> u64 {
        self.cluster_size.clamp(
            *DEFAULT_GRANULARITY_BYTES.start(),
            *DEFAULT_GRANULARITY_BYTES.end(),
        )
    }
}

impl Bitmap {
    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, Format::Qcow2).with_options(self.create_options.clone())
    }
}

impl Perform for Bitmap {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::bytes("size", self.size.bytes())?;
        self.create_options.validity("create_options")?;
        validity::each("invocations", &self.invocations, |command| {
            validity::name(" has a bitmap whose name", &command.name)?;
            command.actions.iter().try_for_each(BitmapAction::validity)
        })
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let plainer = variants::elementwise(&self.invocations, plainer);
        let versions = Versions::new(self)
            .each(
                variants::shorter_not_empty(&self.invocations),
                |version, invocations| version.invocations = invocations,
            )
            .each(
                variants::shorter(self.create_options.as_slice()),
                |version, options| version.create_options = options.into(),
            )
            .each(variants::sizes(&self.size), |version, size| {
                version.size = size
            })
            .each(plainer, |version, invocations| {
                version.invocations = invocations
            });
        versions.all().map(Operation::Bitmap).collect()
    }

    /// One flag and one name of each command do not count: the command needs them.
    fn case_size(&self) -> CaseSize {
        let flags = self.invocations.iter().map(|command| {
            let details = command.actions.iter().map(BitmapAction::details);
            (command.actions.len() + details.sum::<usize>()).saturating_sub(1)
        });
        let options = self.create_options.beyond_defaults();
        CaseSize {
            operations: self.invocations.len(),
            options: options + flags.sum::<usize>(),
            writes: 0,
        }
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let create = Request::Create {
            file: self.file(context),
            size: self.size.clone(),
        };
        let commands = self.invocations.iter().map(|command| {
            let request = Request::Bitmap {
                merged_from: None,
                file: self.file(context),
                actions: command.actions.clone(),
                name: command.name.clone(),
            };
            // If both sides refuse, the operation continues with the next command.
            Step {
                expected_exit: ExitExpectation::GoOn,
                ..Step::own(request)
            }
        });
        std::iter::once(Step::fixture(create, FIXTURE))
            .chain(commands)
            .collect()
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        vec![Output::new(
            self.file(context),
            OutputRole::Bitmap,
            Contents::zeros(self.size.bytes()),
        )]
    }
}

/// Returns the command without its granularity, and without its second action.
fn plainer(command: &Command) -> Vec<Command> {
    let plain = command.actions.iter().map(BitmapAction::plain).collect();
    let place = |action: &BitmapAction| *action == BitmapAction::Disable;
    let place = command.actions.iter().position(place);
    let fewer = place.filter(|place| *place > 0).map(|place| {
        let mut fewer = command.actions.clone();
        fewer.remove(place);
        fewer
    });
    let versions = [Some(plain), fewer].into_iter().flatten();
    let with = versions.map(|actions| Command {
        actions,
        name: command.name.clone(),
    });
    with.filter(|version| version != command).collect()
}
