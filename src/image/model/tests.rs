//! Tests of the model of an image.

use super::*;
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Fill;

fn write(offset: u64, length: u64, byte: u8) -> Write {
    Write {
        offset,
        length,
        fill: Fill::Byte(byte),
    }
}

#[test]
fn a_longer_overlay_shows_zeros_beyond_the_end_of_its_backing_image() {
    let mut model = Model::new(1024);
    model.write(&write(0, 1024, 7));
    model.overlay(4096);
    assert_eq!(
        model.contents(),
        Contents::of_writes(4096, &[write(0, 1024, 7)])
    );
}

#[test]
fn growing_an_overlay_of_a_longer_backing_image_adds_zeros() {
    let mut model = Model::new(4096);
    model.write(&write(0, 4096, 7));
    model.overlay(1024);
    model.resize(4096);
    assert_eq!(
        model.contents(),
        Contents::of_writes(4096, &[write(0, 1024, 7)])
    );
}

#[test]
fn a_commit_keeps_the_end_of_a_longer_backing_image_and_grows_a_shorter_one() {
    let mut model = Model::new(4096);
    model.write(&write(0, 4096, 7));
    model.overlay(1024);
    model.write(&write(0, 512, 9));
    model.commit(0);
    let merged = Contents::of_writes(4096, &[write(0, 4096, 7), write(0, 512, 9)]);
    assert_eq!(model.below[0].view.contents(), merged);
    model.resize(8192);
    model.write(&write(8000, 192, 3));
    model.commit(0);
    assert_eq!(model.below[0].view.contents(), model.contents());
}

#[test]
fn applying_a_snapshot_restores_contents_and_size() {
    let mut model = Model::new(4096);
    model.write(&write(0, 512, 1));
    model.create_snapshot("a");
    let then = model.contents();
    model.zero(0, 4096);
    model.resize(512);
    model.apply_snapshot("a");
    assert_eq!(model.contents(), then);
}

#[test]
fn a_backing_image_keeps_its_snapshots_and_bitmaps_through_a_commit() {
    let mut model = Model::new(4096);
    model.write(&write(0, 512, 1));
    model.create_snapshot("a");
    model.bitmap_changed(&[BitmapAction::Add { granularity: None }], "on", None, 4096);
    let then = model.contents();
    model.overlay(4096);
    model.write(&write(0, 512, 2));
    model.commit(0);
    let mut lower = model.lower(0).unwrap();
    assert_eq!(lower.contents(), model.contents());
    assert_eq!(lower.bitmaps["on"].dirty, None);
    lower.apply_snapshot("a");
    assert_eq!(lower.contents(), then);
    lower.delete_snapshot("a");
    model.replace_lower(0, lower);
    assert!(model.below[0].snapshots.is_empty() && model.below.len() == 1);
}

#[test]
fn converting_a_snapshot_yields_the_contents_at_the_time_it_was_created() {
    let mut model = Model::new(1024);
    model.write(&write(0, 512, 1));
    model.create_snapshot("a");
    let then = model.contents();
    model.write(&write(0, 512, 2));
    model.convert_snapshot("a", 1024);
    assert_eq!((model.contents(), model.snapshots.len()), (then, 0));
}

#[test]
fn a_rebase_onto_a_lower_image_shortens_the_chain_and_keeps_the_contents() {
    let mut model = Model::new(1024);
    model.overlay(1024);
    model.write(&write(0, 512, 1));
    model.overlay(1024);
    let seen = model.contents();
    model.rebase(Some(0));
    assert_eq!((model.below.len(), model.contents()), (1, seen));
}

#[test]
fn a_snapshot_is_cut_at_the_end_of_its_image_before_the_size_of_the_copy_is_rounded_up() {
    let mut model = Model::new(4096);
    model.write(&write(0, 4096, 7));
    model.create_snapshot("a");
    model.resize(1024);
    model.convert_snapshot("a", 2048);
    assert_eq!(
        model.contents(),
        Contents::of_writes(2048, &[write(0, 1024, 7)])
    );
}

#[test]
fn a_write_up_to_the_last_byte_that_there_can_be_is_applied_as_far_as_the_image_goes() {
    let mut model = Model::new(4096);
    model.write(&write(0, 4096, 7));
    let add = [BitmapAction::Add {
        granularity: Some(512),
    }];
    model.bitmap_changed(&add, "one", None, 65536);
    model.write(&write(1024, u64::MAX, 9));
    model.zero(2048, u64::MAX);
    let expected = [write(0, 1024, 7), write(1024, 1024, 9)];
    assert_eq!(model.contents(), Contents::of_writes(4096, &expected));
    model.write(&write(u64::MAX, u64::MAX, 9));
    assert_eq!(model.contents(), Contents::of_writes(4096, &expected));
}
