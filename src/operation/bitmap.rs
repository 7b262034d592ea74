//! `bitmap`: both tools add, remove, clear, enable, disable and merge dirty bitmaps of a qcow2, one after the other.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::simpler::{self, Bulk, Versions};
use crate::base::size::Size;
use crate::image::ImageRecipe;
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::validity::{self, Validity};
use crate::oracle::exchange::{Exchange, Ground, Output, Rule, Step};
use crate::oracle::verdict::{DivergenceKind, OutputRole};
use crate::tool::request::{ImageFile, Request};

const FIXTURE: DivergenceKind = DivergenceKind::BitmapFixture;
const CLUSTER_SIZES: [u64; 5] = [512, 4096, 65536, 262_144, 2_097_152];
const SIZES: [&str; 4] = ["1M", "4M", "16M", "64M"];
const GRANULARITIES: [u64; 7] = [512, 4096, 65536, 131_072, 262_144, 1_048_576, 2_097_152];

/// The granularity that qemu-img chooses is the cluster size, within these bounds, in bytes.
const DEFAULT_GRANULARITY_BYTES: std::ops::RangeInclusive<u64> = 4096..=65536;

/// How many bitmaps there are at a time, at the most.
const LIVE_MAX: usize = 6;

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bitmap {
    /// The `-o` options of the image, in their order.
    pub create_options: Vec<String>,
    /// Its virtual size.
    pub size: Size,
    /// The commands, each as its words on the command line with the bitmap's name last.
    pub invocations: Vec<Vec<String>>,
}

/// A bitmap as the picker keeps track of it.
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
        let create_options = vec![
            "compat=1.1".to_owned(),
            format!("cluster_size={cluster_size}"),
            "refcount_bits=16".to_owned(),
        ];
        Self {
            create_options,
            size,
            invocations,
        }
    }
}

/// The bitmaps that there are while the commands are drawn, in the order in which they were added.
struct Bitmaps {
    live: Vec<Live>,
    made: u32,
    cluster_size: u64,
}

impl Bitmaps {
    fn draw(&mut self, random: &mut PythonRandom) -> Vec<String> {
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
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match *random.choice(&menu) {
            "add" => self.add(random),
            "add-disabled" => {
                let name = self.push(false, self.default_granularity());
                words(&["--add", "--disable", &name])
            }
            "remove" => {
                let name = random.choice::<String>(&self.names(|_| true)).clone();
                self.live.retain(|bitmap| bitmap.name != name);
                words(&["--remove", &name])
            }
            "clear" => words(&["--clear", random.choice::<String>(&self.names(|_| true))]),
            "enable" => self.switch(random.choice::<String>(&disabled), true),
            "disable" => self.switch(random.choice::<String>(&enabled), false),
            _ => {
                let (destination, source) = random.choice(&pairs);
                words(&["--merge", source, destination])
            }
        }
    }

    fn add(&mut self, random: &mut PythonRandom) -> Vec<String> {
        let granularity = random.chance(0.5).then(|| *random.choice(&GRANULARITIES));
        let name = self.push(true, granularity.unwrap_or(self.default_granularity()));
        let mut words = vec!["--add".to_owned()];
        words.extend(
            granularity
                .into_iter()
                .flat_map(|bytes| ["-g".to_owned(), bytes.to_string()]),
        );
        words.push(name);
        words
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

    fn switch(&mut self, name: &str, enabled: bool) -> Vec<String> {
        for bitmap in self.live.iter_mut().filter(|bitmap| bitmap.name == name) {
            bitmap.enabled = enabled;
        }
        let flag = if enabled { "--enable" } else { "--disable" };
        vec![flag.to_owned(), name.to_owned()]
    }

    fn names(&self, wanted: impl Fn(&Live) -> bool) -> Vec<String> {
        self.live
            .iter()
            .filter(|bitmap| wanted(bitmap))
            .map(|bitmap| bitmap.name.clone())
            .collect()
    }

    /// What can be merged: (destination, source) of equal granularity, the destination enabled.
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
    fn file(&self, ground: &Ground<'_>) -> ImageFile {
        ImageFile::new(&ground.stem, Format::Qcow2).with_options(self.create_options.clone())
    }
}

impl Perform for Bitmap {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        validity::bytes("size", self.size.bytes())?;
        validity::options("create_options", &self.create_options)?;
        validity::each("invocations", &self.invocations, |words| {
            let none = || " is empty: write flags and a bitmap's name".to_owned();
            let (name, flags) = words.split_last().ok_or_else(none)?;
            validity::name(" has a bitmap whose name", name)?;
            validity::bitmap_flags(flags)
        })
    }

    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let plainer = simpler::elementwise(&self.invocations, |words| plainer(words));
        let versions = Versions::of(self)
            .each(
                simpler::shorter_not_empty(&self.invocations),
                |version, invocations| version.invocations = invocations,
            )
            .each(
                simpler::shorter(&self.create_options),
                |version, options| version.create_options = options,
            )
            .each(simpler::sizes(&self.size), |version, size| {
                version.size = size
            })
            .each(plainer, |version, invocations| {
                version.invocations = invocations
            });
        versions.all().map(Operation::Bitmap).collect()
    }

    /// One flag and one name are what a command is about.
    fn bulk(&self) -> Bulk {
        let flags = self.invocations.iter().map(|words| {
            let flags = words.iter().filter(|word| word.starts_with('-')).count();
            flags.saturating_sub(1)
        });
        let options = simpler::options_beyond_defaults(&self.create_options);
        Bulk {
            operations: self.invocations.len(),
            options: options + flags.sum::<usize>(),
            writes: 0,
        }
    }

    fn steps(&self, ground: &Ground<'_>) -> Vec<Step> {
        let create = Request::Create {
            file: self.file(ground),
            size: self.size.clone(),
        };
        let commands = self.invocations.iter().filter_map(|words| {
            let (name, flags) = words.split_last()?;
            let request = Request::Bitmap {
                file: self.file(ground),
                flags: flags.to_vec(),
                name: name.clone(),
            };
            // A refusal of both is no end: the next command is tried.
            Some(Step {
                rule: Rule::GoOn,
                ..Step::own(request)
            })
        });
        std::iter::once(Step::fixture(create, FIXTURE))
            .chain(commands)
            .collect()
    }

    fn outputs(&self, ground: &Ground<'_>, _: &Exchange) -> Vec<Output> {
        vec![Output::new(
            self.file(ground),
            OutputRole::Bitmap,
            Contents::zeros(self.size.bytes()),
        )]
    }
}

/// A command without its granularity, and without its second flag.
fn plainer(words: &[String]) -> Vec<Vec<String>> {
    let without = |flag: &str, length: usize| {
        let place = words.iter().position(|word| word == flag)?;
        let mut fewer = words.to_vec();
        fewer.drain(place..(place + length).min(words.len()));
        (place > 0).then_some(fewer)
    };
    [without("-g", 2), without("--disable", 1)]
        .into_iter()
        .flatten()
        .collect()
}
