//! Simpler versions of the steps that name another image or a snapshot: rebases, commits, merges of bitmaps, measurements.

use super::super::step::ChainStep;
use crate::base::variants::shorter;
use crate::image::bitmap_action::BitmapAction;
use crate::image::format::Format;
use crate::image::options::CreateOptions;

/// Plainly, then onto no image, then onto lower ones.
pub(super) fn simpler_rebases(step: &ChainStep) -> Vec<ChainStep> {
    let ChainStep::Rebase {
        onto,
        is_unsafe,
        compresses,
    } = *step
    else {
        return Vec::new();
    };
    let rebase = |onto, is_unsafe, compresses| ChainStep::Rebase {
        onto,
        is_unsafe,
        compresses,
    };
    let safe = is_unsafe.then(|| rebase(onto, false, compresses));
    let plain = compresses.then(|| rebase(onto, is_unsafe, false));
    let lower = (0..onto.unwrap_or(0)).map(Some);
    let none = onto.is_some().then_some(None);
    let others = none.into_iter().chain(lower);
    let others = others.map(|onto| rebase(onto, is_unsafe, compresses));
    safe.into_iter().chain(plain).chain(others).collect()
}

/// The plain commit, then one that names no image.
pub(super) fn simpler_commits(step: &ChainStep) -> Vec<ChainStep> {
    let ChainStep::Commit { base, keeps } = *step else {
        return Vec::new();
    };
    let plain = ChainStep::Commit {
        base: None,
        keeps: false,
    };
    let mut simpler = vec![
        plain,
        ChainStep::Commit { base: None, keeps },
        ChainStep::Commit { base, keeps: false },
    ];
    simpler.retain(|simpler| simpler != step);
    simpler.dedup();
    simpler
}

/// The first action alone, without details, then a merge of a bitmap of the image itself.
pub(super) fn simpler_bitmap(step: &ChainStep) -> Vec<ChainStep> {
    let ChainStep::Bitmap {
        actions,
        name,
        from,
    } = step
    else {
        return Vec::new();
    };
    let first = actions.iter().take(1);
    let plain: Vec<BitmapAction> = first.map(BitmapAction::plain).collect();
    let bitmap = |actions: &[BitmapAction], from: Option<usize>| ChainStep::Bitmap {
        actions: actions.to_vec(),
        name: name.clone(),
        from,
    };
    let mut simpler = vec![bitmap(&plain, *from), bitmap(actions, None)];
    simpler.retain(|simpler| simpler != step);
    simpler
}

/// Of the current contents, with fewer options, for raw.
pub(super) fn simpler_measures(step: &ChainStep) -> Vec<ChainStep> {
    let ChainStep::Measure {
        target,
        options,
        snapshot,
    } = step
    else {
        return Vec::new();
    };
    let measure =
        |target: Format, options: CreateOptions, snapshot: &Option<String>| ChainStep::Measure {
            target,
            options,
            snapshot: snapshot.clone(),
        };
    let fewer = shorter(options.as_slice()).into_iter();
    let fewer = fewer.map(|options| measure(*target, options.into(), snapshot));
    let mut simpler = vec![
        measure(*target, options.clone(), &None),
        measure(Format::Raw, CreateOptions::new(), snapshot),
    ];
    simpler.extend(fewer);
    simpler.retain(|simpler| simpler != step);
    simpler
}
