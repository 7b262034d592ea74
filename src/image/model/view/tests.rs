//! Unit tests of `view.rs`.

use super::*;

#[test]
fn a_fill_in_the_middle_of_a_run_keeps_both_ends_of_the_run() {
    let mut view = View::zeros(1000);
    view.fill(100, 900, 1);
    view.fill(300, 500, 0);
    view.fill(500, 600, 2);
    assert!(view.is_zero(300, 500) && !view.is_zero(299, 500) && !view.is_zero(300, 501));
    let mut same = View::zeros(1000);
    same.fill(600, 900, 1);
    same.fill(500, 600, 2);
    same.fill(100, 300, 1);
    assert_eq!(view, same);
}

#[test]
fn a_run_is_found_from_every_place_in_it() {
    let mut view = View::zeros(1000);
    view.fill(100, 300, 1);
    view.fill(300, 400, 2);
    for (place, run) in [
        (0, (0, 100, 0)),
        (100, (100, 300, 1)),
        (299, (100, 300, 1)),
        (300, (300, 400, 2)),
        (400, (400, 1000, 0)),
        (999, (400, 1000, 0)),
    ] {
        let (start, end, byte) = run;
        assert_eq!(view.run_at(place), (start, end, Fill::Byte(byte)));
    }
}

#[test]
fn a_window_moves_the_runs_within_it_and_drops_the_rest() {
    let mut view = View::zeros(1000);
    view.fill(100, 300, 1);
    view.fill(600, 900, 2);
    let mut window = View::zeros(500);
    window.fill(0, 100, 1);
    window.fill(400, 500, 2);
    assert_eq!(view.window(200, 500), window);
    assert_eq!(window.runs().collect::<Vec<_>>(), [(0, 100), (400, 500)]);
    assert!(view.shows_the_same(&view.resized(2000)));
    assert!(!view.shows_the_same(&view.resized(899)));
}

#[test]
fn fills_agree_with_a_plain_array_of_bytes() {
    let mut view = View::zeros(64);
    let mut bytes = [0_u8; 64];
    let mut state = 12345_u64;
    for _ in 0..500 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (start, length) = ((state >> 40) % 64, (state >> 50) % 20);
        let byte = ((state >> 33) % 4) as u8;
        let end = (start + length).min(64);
        view.fill(start, start + length, byte);
        bytes[start as usize..end as usize].fill(byte);
    }
    for (index, byte) in bytes.iter().enumerate() {
        let index = index as u64;
        assert_eq!(view.is_zero(index, index + 1), *byte == 0);
    }
}
