//! One invocation of `bench`: its arguments in cases, their validation, and simpler versions.
//!
//! Without an argument, qemu-img's default applies (qemu-img(1), bench). The number of requests is always given,
//! because its default would take seconds.

use serde::{Deserialize, Serialize};

use crate::base::variants;
use crate::image::format::Format;
use crate::image::options::OptionValue;
use crate::image::validity::{self, Validity};
use crate::tool::request::BenchPlan;
use crate::tool::request::qemu_words::InWords;

/// The maximum number of requests of one invocation.
const REQUESTS_MAX: u64 = 1 << 20;

/// One invocation. In JSON: the arguments of qemu-img, without the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Invocation {
    /// The format of the image, if the arguments include it.
    pub format: Option<Format>,
    /// The plan of requests.
    pub plan: BenchPlan,
}

impl TryFrom<Vec<String>> for Invocation {
    type Error = String;

    fn try_from(mut words: Vec<String>) -> Result<Self, String> {
        let mut format = None;
        if let Some(place) = words.iter().position(|word| word == "-f") {
            let value = words.get(place + 1).map_or("", String::as_str);
            let read = Format::read(value).map_err(|expected| format!("-f: write {expected}"));
            format = Some(read?);
            words.drain(place..place + 2);
        }
        let plan = BenchPlan::read(&words)?;
        Ok(Self { format, plan })
    }
}

impl From<Invocation> for Vec<String> {
    fn from(invocation: Invocation) -> Self {
        let format = invocation
            .format
            .map(|format| ["-f".to_owned(), format.to_string()]);
        format
            .into_iter()
            .flatten()
            .chain(invocation.plan.words())
            .collect()
    }
}

impl Invocation {
    /// Validates an invocation from a file, for an image of the format `recipe`.
    pub(super) fn validity(&self, recipe: Format) -> Validity {
        if let Some(format) = self.format.filter(|format| *format != recipe) {
            return Err(format!(
                " says -f {format}: write {recipe}, as in recipe.fmt"
            ));
        }
        validity::number(
            " asks for as many requests as -c says, which",
            self.plan.count,
            1..=REQUESTS_MAX,
        )?;
        let last = self.plan.requests().last();
        let last = last.map_or(Ok(()), |write| validity::range(write.offset, write.length));
        validity::at(" with a last request that", last)?;
        validity::written(
            " has requests that",
            self.plan.requests().map(|write| write.length),
        )
    }

    /// Returns simpler versions.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let plan = self.plan;
        let fewer = [
            BenchPlan {
                no_drain: false,
                ..plan
            },
            BenchPlan {
                flush_interval: None,
                ..plan
            },
            BenchPlan {
                writes: false,
                ..plan
            },
            BenchPlan {
                offset: None,
                ..plan
            },
            BenchPlan {
                stride: None,
                ..plan
            },
            BenchPlan {
                depth: None,
                ..plan
            },
            BenchPlan { byte: None, ..plan },
            BenchPlan {
                length: None,
                ..plan
            },
        ];
        let fewer = fewer.into_iter().filter(|version| *version != plan);
        let counts = variants::numbers(plan.count, &[1, 2]).into_iter();
        let smaller = counts.map(|count| BenchPlan { count, ..plan });
        let plans = fewer.chain(smaller);
        plans.map(|plan| Self { plan, ..*self }).collect()
    }
}
