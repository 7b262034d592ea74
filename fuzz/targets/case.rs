//! Cases out of files: seed files, findings, plain cases, the shrinker's progress; and all that is done with one before a tool runs.

#![no_main]

use std::path::Path;

use imgduel::case::Case;
use imgduel::case::cost;
use imgduel::case::shrink::Progress;
use imgduel::image::ImageRecipe;
use imgduel::report::seed_file::SeedFile;
use libfuzzer_sys::fuzz_target;

/// Cases that a case is made simpler to, of each kind: there may be thousands.
const SIMPLER_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = serde_json::from_str::<Progress>(text);
    let Ok(seed) = SeedFile::of_text(Path::new("seed.json"), text) else {
        return;
    };
    // One that is only named is drawn: see the target of names.
    let Ok(case) = serde_json::to_value(&seed)
        .and_then(|json| serde_json::from_value::<Case>(json["case"].clone()))
    else {
        return;
    };
    look(&case);
    let images: Vec<ImageRecipe> = case.image.simpler().into_iter().take(SIMPLER_MAX).collect();
    for (index, operation) in case.ops.iter().enumerate() {
        let perform = operation.perform();
        let sanitized = images.iter().filter_map(|image| perform.sanitized(image));
        for simpler in perform
            .simpler()
            .into_iter()
            .take(SIMPLER_MAX)
            .chain(sanitized)
        {
            let mut smaller = case.clone();
            smaller.ops[index] = simpler;
            look(&smaller);
        }
    }
});

fn look(case: &Case) {
    let _ = (
        case.id(),
        case.case_size(),
        cost::of_case(case),
        case.image.contents(),
    );
    for (index, operation) in case.ops.iter().enumerate() {
        let (perform, context) = (operation.perform(), case.context(index));
        let _ = (
            perform.steps(&context),
            perform.leaves(&context),
            perform.skipped(),
        );
        let _ = (perform.features(), perform.bounds(), perform.reads_source());
        let _ = perform.outputs(
            &context,
            &imgduel::oracle::observations::Observations::default(),
        );
    }
    serde_json::to_string(case).expect("a case can be written");
}
