//! `map`: both tools report what is allocated in their copy of the source image, in the whole image or in a window.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DrawPython, Operation, Perform, Picker, is_added};
use crate::base::rng::PythonRandom;
use crate::base::variants::{CaseSize, Versions};
use crate::image::ImageRecipe;
use crate::image::format::Format;
use crate::image::validity::Validity;
use crate::oracle::normalize::{Purpose, normalize};
use crate::oracle::observations::{Observations, Step, StepContext};
use crate::oracle::verdict::{Difference, DivergenceKind, Finding, JsonPath, Subject, Verdict};
use crate::tool::request::qemu_words::as_words_or_nothing;
use crate::tool::request::{Answer, Request, RequestKind, Window};

const PARSE_FAILURE: DivergenceKind = DivergenceKind::MapJson;
const SHAPE: DivergenceKind = DivergenceKind::MapShape;
const EXTENT_COUNT: DivergenceKind = DivergenceKind::MapExtentCount;
const FIELD: DivergenceKind = DivergenceKind::MapField;

/// The maps differ only in which parts of allocated clusters are reported to read as zeros: one tool looks there for
/// holes in the image file, the other does not.
const HOST_HOLES: DivergenceKind = DivergenceKind::MapHostHoles;

/// The alignment of a window's ends in bytes. Smaller images are mapped as a whole.
const WINDOW_GRAIN_BYTES: u64 = 65536;

/// The fields of an extent that are compared. The other fields of qemu-img (depth, offset, compressed) say where the
/// data lies, not whether there is any.
const FIELDS: [&str; 5] = ["start", "length", "present", "zero", "data"];

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// The virtual size in bytes for which the window was drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_size_probe: Option<u64>,
    /// The window, as arguments of qemu-img.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "as_words_or_nothing"
    )]
    pub window: Option<Window>,
    /// Why the operation is skipped: the format of an image that is not mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl DrawPython for Map {
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, _: Picker) -> Self {
        if image.format == Format::Raw || is_added(image.format) {
            return Self {
                virtual_size_probe: None,
                window: None,
                skipped: Some(image.format.name().to_owned()),
            };
        }
        let size = image.created_bytes();
        let mut window = Window::WHOLE;
        if size >= 2 * WINDOW_GRAIN_BYTES {
            let cut = |value: u64| value / WINDOW_GRAIN_BYTES * WINDOW_GRAIN_BYTES;
            if random.chance(0.25) {
                let start = cut(random.randint(0, size / 2));
                window.start = Some(start);
            }
            if random.chance(0.25) {
                let length = cut(random.randint(WINDOW_GRAIN_BYTES, size)).min(size);
                window.length = Some(length);
            }
        }
        Self {
            virtual_size_probe: Some(size),
            window: Some(window),
            skipped: None,
        }
    }
}

impl Map {
    fn part(&self) -> Window {
        self.window.unwrap_or_default()
    }
}

impl Perform for Map {
    fn validity(&self, image: &ImageRecipe) -> Validity {
        let sanitized = self.sanitized(image);
        if sanitized
            .as_ref()
            .is_some_and(|sanitized| *sanitized != Operation::Map(self.clone()))
        {
            let sanitized = serde_json::to_string(&sanitized).unwrap_or_default();
            return Err(format!(
                " does not follow from the image: write {sanitized}"
            ));
        }
        Ok(())
    }

    fn reads_source(&self) -> bool {
        self.skipped.is_none()
    }

    fn simpler(&self) -> Vec<Operation> {
        let Window { start, length } = self.part();
        let versions = Versions::new(self)
            .when(start.is_some() || length.is_some(), |version| {
                version.window = Some(Window::WHOLE)
            })
            .when(start.is_some() && length.is_some(), |version| {
                version.window = Some(Window {
                    start,
                    length: None,
                })
            })
            .when(start.is_some() && length.is_some(), |version| {
                version.window = Some(Window {
                    start: None,
                    length,
                })
            });
        versions.all().map(Operation::Map).collect()
    }

    fn sanitized(&self, image: &ImageRecipe) -> Option<Operation> {
        // The Python harness maps none of the formats that it added; a case of another origin may.
        let is_passed_over = is_added(image.format) && self.skipped.is_some();
        let is_mapped = image.format != Format::Raw && !is_passed_over;
        let size = image.created_bytes();
        let sanitized = Self {
            virtual_size_probe: is_mapped.then_some(size),
            window: is_mapped.then(|| self.part()),
            skipped: (!is_mapped).then(|| image.format.name().to_owned()),
        };
        Some(Operation::Map(sanitized))
    }

    fn case_size(&self) -> CaseSize {
        CaseSize::of_operation(self.part().ends())
    }

    fn skipped(&self) -> Option<String> {
        self.skipped
            .as_ref()
            .map(|why| format!("map of a {why} image is skipped"))
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let window = self.part();
        vec![Step::own(Request::Map {
            file: context.source.clone(),
            window,
        })]
    }

    fn judge(&self, context: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let (candidate, reference) = observations.last_answers()?;
        let maps = [candidate, reference].map(|answer| {
            let map = answer.report.tree();
            map.map(|map| normalize(map.clone(), Purpose::Mapping, &observations.tool_versions))
        });
        let [map, standard] = maps;
        let (mapped, standard) = match (map, standard) {
            (Ok(mapped), Ok(standard)) => (mapped, standard),
            (candidate, reference) => {
                let difference = Difference::of_parsing(RequestKind::Map, &candidate, &reference);
                return Some(Finding::of_difference(PARSE_FAILURE, difference).into());
            }
        };
        let (Some(mapped), Some(standard)) = (mapped.as_array(), standard.as_array()) else {
            let kind = |json: &Value| {
                if json.is_array() {
                    "an array"
                } else {
                    "no array"
                }
            };
            let difference = Difference::new(Subject::MapShape {}, kind(&mapped), kind(&standard));
            return Some(Finding::of_difference(SHAPE, difference).into());
        };
        let fields = fields(context, candidate, mapped);
        let found = compare(&fields, mapped, standard)?;
        let without_holes = compare(&fields, &filled(mapped), &filled(standard));
        let kind = if without_holes.is_none() {
            HOST_HOLES
        } else {
            found.kind
        };
        Some(Finding { kind, ..found }.into())
    }
}

/// Returns the map as a tool reports it that does not look for holes in the image file: allocated data does not read as
/// zeros.
fn filled(extents: &[Value]) -> Vec<Value> {
    let mut extents = extents.to_vec();
    for extent in extents.iter_mut().filter(|extent| extent["data"] == true) {
        extent["zero"] = Value::Bool(false);
    }
    extents
}

/// Returns the fields to compare: for vpc not `present`, which tools define differently there; for a tool that reports
/// only some, those.
fn fields(context: &StepContext<'_>, answer: &Answer, extents: &[Value]) -> Vec<&'static str> {
    let is_compared = |name: &&str| {
        !answer.report.is_partial() || extents.iter().any(|extent| extent.get(name).is_some())
    };
    let vpc = context.recipe.format == Format::Vpc;
    FIELDS
        .into_iter()
        .filter(|name| !(vpc && *name == "present"))
        .filter(is_compared)
        .collect()
}

fn compare(fields: &[&str], candidate: &[Value], reference: &[Value]) -> Option<Finding> {
    let (candidate, reference) = (joined(fields, candidate), joined(fields, reference));
    let pairs = std::iter::zip(&candidate, &reference).enumerate();
    let differences = pairs.flat_map(|(index, (candidate, reference))| {
        let differing = fields
            .iter()
            .filter(|name| candidate[**name] != reference[**name]);
        let difference = move |name: &&str| {
            Difference::new(
                Subject::JsonValue {
                    path: JsonPath::default().at(index).below(name),
                },
                candidate[*name].to_string(),
                reference[*name].to_string(),
            )
        };
        differing.map(difference).collect::<Vec<_>>()
    });
    let found = Finding::of_differences(FIELD, differences.collect());
    let counts = Difference::new(
        Subject::ExtentCount {},
        candidate.len().to_string(),
        reference.len().to_string(),
    );
    if candidate.len() == reference.len() {
        return found;
    }
    // The first extent that differs says more than the number alone.
    let mut finding = Finding::of_difference(EXTENT_COUNT, counts);
    finding.differences.extend(
        found
            .into_iter()
            .flat_map(|finding| finding.differences)
            .take(2),
    );
    Some(finding)
}

/// Joins adjacent extents that agree in all compared fields: where a tool splits them depends on where the data lies in
/// the file.
fn joined(fields: &[&str], extents: &[Value]) -> Vec<Value> {
    let mut joined: Vec<Value> = Vec::new();
    let number = |extent: &Value, name: &str| extent[name].as_u64().unwrap_or(0);
    for extent in extents {
        let alike = |last: &Value| {
            number(last, "start").checked_add(number(last, "length"))
                == Some(number(extent, "start"))
                && fields
                    .iter()
                    .skip(2)
                    .all(|name| last[*name] == extent[*name])
        };
        match joined.last_mut().filter(|last| alike(last)) {
            Some(last) => {
                let length = number(last, "length").saturating_add(number(extent, "length"));
                last["length"] = Value::from(length);
            }
            None => joined.push(extent.clone()),
        }
    }
    joined
}
