//! `snapshot`: both tools create, delete and apply internal snapshots of a qcow2, with guest writes in between.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::content::Write;
use crate::exchange::{Ground, Step};
use crate::image::ImageRecipe;
use crate::rng::PythonRandom;
use crate::simpler::{self, Bulk};
use crate::size::Size;

const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];
const SIZES: [&str; 3] = ["4M", "16M", "64M"];
const WRITE_LENGTHS: [u64; 3] = [4096, 65536, 131_072];
const WRITE_GRAIN_BYTES: u64 = 4096;

/// How many snapshots there are at a time, at the most.
const LIVE_MAX: usize = 16;

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The cluster size in bytes.
    pub cluster_size: u64,
    /// `1.1` or `0.10`.
    pub compat: String,
    /// Whether clusters have subclusters.
    pub extended_l2: bool,
    /// The virtual size.
    pub size: Size,
    /// Whether there is a backing file.
    pub backing: bool,
    /// The guest writes before the chain.
    pub seed_writes: Vec<Element>,
    /// What is done.
    pub chain: Vec<Element>,
}

/// One thing that is done. In JSON: `["create", NAME]`, `["delete", ARGUMENT]`, `["apply", ARGUMENT]` or `["write", OFFSET,
/// LENGTH, BYTE]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Element {
    /// `create`, `delete` or `apply`, with a name or an argument.
    Named(String, String),
    /// `write`, with offset and length in bytes, and the byte.
    Write(String, u64, u64, u8),
}

impl Element {
    /// The guest write that it is, if it is one.
    pub fn write(&self) -> Option<Write> {
        match *self {
            Self::Write(_, offset, length, byte) => Some(Write {
                offset,
                length,
                byte,
            }),
            Self::Named(..) => None,
        }
    }
}

impl DrawPython for Snapshot {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let compat = *random.choice(&["1.1", "0.10"]);
        let extended_l2 = cluster_size == 65536 && compat == "1.1" && random.chance(0.3);
        // A choice of one element consumes words like any other.
        let sizes = if cluster_size == 512 {
            &SIZES[..1]
        } else {
            &SIZES
        };
        let size = Size::literal(random.choice::<&str>(sizes));
        let backing = random.chance(0.25);
        let seed_count = random.randint(0, 2);
        let seed_writes = (0..seed_count)
            .map(|_| draw_write(random, size.bytes()))
            .collect();
        let chain_length = random.randint(1, 8);
        let mut table = Table::default();
        let chain = (0..chain_length)
            .map(|_| table.draw(random, size.bytes()))
            .collect();
        let compat = compat.to_owned();
        Self {
            cluster_size,
            compat,
            extended_l2,
            size,
            backing,
            seed_writes,
            chain,
        }
    }
}

fn draw_write(random: &mut PythonRandom, size: u64) -> Element {
    let length = *random.choice(&WRITE_LENGTHS);
    let offset = random.randint(0, size - length) / WRITE_GRAIN_BYTES * WRITE_GRAIN_BYTES;
    let byte = random.randint(1, 255) as u8;
    Element::Write("write".to_owned(), offset, length, byte)
}

/// The snapshots that there are while the chain is drawn: (id, name), in the order of the table.
#[derive(Default)]
struct Table {
    live: Vec<(u64, String)>,
}

impl Table {
    fn draw(&mut self, random: &mut PythonRandom, size: u64) -> Element {
        let kinds = ["delete", "apply", "write", "create", "create", "create"];
        let kinds = if self.live.len() < LIVE_MAX {
            &kinds[..]
        } else {
            &kinds[..3]
        };
        match *random.choice(kinds) {
            "create" => self.create(random),
            "write" => draw_write(random, size),
            kind => {
                let argument = self.draw_argument(random);
                if kind == "delete"
                    && let Some(index) = self.live.iter().position(|(_, name)| *name == argument)
                {
                    self.live.remove(index);
                }
                Element::Named(kind.to_owned(), argument)
            }
        }
    }

    fn create(&mut self, random: &mut PythonRandom) -> Element {
        let longest = "L".repeat(255);
        let names = [
            "alpha",
            "beta",
            "gamma",
            "2",
            "snap with spaces",
            "snäp-名前",
            &longest,
        ];
        let name = (*random.choice(&names)).to_owned();
        let highest = self.live.iter().map(|(id, _)| *id).max().unwrap_or(0);
        self.live.push((highest + 1, name.clone()));
        Element::Named("create".to_owned(), name)
    }

    fn draw_argument(&self, random: &mut PythonRandom) -> String {
        let number = random.randint(1, 20).to_string();
        let none = "no-such-snapshot".to_owned();
        if self.live.is_empty() {
            return random.choice(&[none, number]).clone();
        }
        let (id, name) = random.choice(&self.live);
        let (id, name) = (id.to_string(), name.clone());
        random
            .choice(&[
                name.clone(),
                name.clone(),
                name,
                id.clone(),
                id,
                none,
                number,
            ])
            .clone()
    }
}

impl Perform for Snapshot {
    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let mut versions = Vec::new();
        let fewer = simpler::shorter_not_empty(&self.chain).into_iter();
        versions.extend(fewer.map(|chain| Self {
            chain,
            ..self.clone()
        }));
        let fewer = simpler::shorter(&self.seed_writes).into_iter();
        versions.extend(fewer.map(|seed_writes| Self {
            seed_writes,
            ..self.clone()
        }));
        versions.extend(self.backing.then(|| Self {
            backing: false,
            ..self.clone()
        }));
        versions.extend(self.extended_l2.then(|| Self {
            extended_l2: false,
            ..self.clone()
        }));
        versions.extend((self.compat != "1.1").then(|| Self {
            compat: "1.1".to_owned(),
            ..self.clone()
        }));
        versions.extend((self.cluster_size != 65536).then(|| Self {
            cluster_size: 65536,
            ..self.clone()
        }));
        versions.into_iter().map(Operation::Snapshot).collect()
    }

    fn bulk(&self) -> Bulk {
        let options = [
            self.backing,
            self.extended_l2,
            self.compat != "1.1",
            self.cluster_size != 65536,
        ];
        let chained = self.chain.iter().filter_map(Element::write).count();
        Bulk {
            operations: self.chain.len() - chained,
            options: options.into_iter().filter(|given| *given).count(),
            writes: self.seed_writes.len() + chained,
        }
    }

    fn skipped(&self) -> Option<String> {
        Some("snapshot is not made yet".to_owned())
    }

    fn steps(&self, _: &Ground<'_>) -> Vec<Step> {
        Vec::new()
    }
}
