//! Simpler versions of plain values: shorter lists, smaller sizes, fewer options; and how much there is of them.
//!
//! Used by the image recipe and the operations when they offer simpler versions of themselves to the shrinker. Every
//! list here begins with what takes away most. What "simpler" means of an operation is that operation's business.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;

/// The virtual sizes that a size may shrink to.
const SIZES: [&str; 7] = ["1M", "2M", "4M", "16M", "64M", "256M", "1G"];

/// How much there is of a case, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// Operations, or the steps of an operation that is a list of them.
    pub operations: usize,
    /// Options beyond the defaults.
    pub options: usize,
    /// Guest writes that were drawn.
    pub writes: usize,
}

impl Bulk {
    /// One operation with so many options beyond the defaults.
    pub fn of_operation(options: usize) -> Self {
        Self {
            operations: 1,
            options,
            writes: 0,
        }
    }
}

impl Add for Bulk {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            options: self.options + other.options,
            writes: self.writes + other.writes,
        }
    }
}

impl Sum for Bulk {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// Simpler versions of a whole: each is the whole with one change.
pub struct Versions<'whole, Whole> {
    whole: &'whole Whole,
    found: Vec<Whole>,
}

impl<'whole, Whole: Clone> Versions<'whole, Whole> {
    /// None yet.
    pub fn of(whole: &'whole Whole) -> Self {
        Self {
            whole,
            found: Vec::new(),
        }
    }

    /// And one for each of these simpler parts, which `put` puts into it.
    pub fn each<Part>(
        mut self,
        parts: impl IntoIterator<Item = Part>,
        put: impl Fn(&mut Whole, Part),
    ) -> Self {
        self.found.extend(parts.into_iter().map(|part| {
            let mut version = self.whole.clone();
            put(&mut version, part);
            version
        }));
        self
    }

    /// And one with this change, when that would be one.
    pub fn when(self, is_change: bool, change: impl Fn(&mut Whole)) -> Self {
        self.each(is_change.then_some(()), |version, ()| change(version))
    }

    /// All of them, in the order in which they were named.
    pub fn all(self) -> std::vec::IntoIter<Whole> {
        self.found.into_iter()
    }
}

/// Shorter versions of a list: nothing, the halves, and every list with one element less, the last left out first.
pub fn shorter<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    let mut versions = Vec::new();
    if list.is_empty() {
        return versions;
    }
    versions.push(Vec::new());
    if list.len() > 2 {
        let (first, second) = list.split_at(list.len() / 2);
        versions.extend([first.to_vec(), second.to_vec()]);
    }
    if list.len() > 1 {
        versions.extend((0..list.len()).rev().map(|left_out| {
            let mut fewer = list.to_vec();
            fewer.remove(left_out);
            fewer
        }));
    }
    versions
}

/// As [`shorter`], but never nothing: for lists that mean nothing when they are empty.
pub fn shorter_not_empty<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    let mut versions = shorter(list);
    versions.retain(|version| !version.is_empty());
    versions
}

/// A list with one element replaced by each of its simpler versions.
pub fn elementwise<T: Clone>(list: &[T], simpler: impl Fn(&T) -> Vec<T>) -> Vec<Vec<T>> {
    let places = list.iter().enumerate();
    let versions = places.flat_map(|(place, element)| {
        let replace = move |version| {
            let mut list = list.to_vec();
            list[place] = version;
            list
        };
        simpler(element).into_iter().map(replace)
    });
    versions.collect()
}

/// The smaller ones of the usual sizes.
pub fn sizes(size: &Size) -> Vec<Size> {
    let usual = SIZES.iter().map(|text| Size::literal(text));
    usual
        .filter(|smaller| smaller.bytes() < size.bytes())
        .collect()
}

/// Smaller numbers: those of `landmarks` that are smaller, then the half.
pub fn numbers(number: u64, landmarks: &[u64]) -> Vec<u64> {
    let mut smaller: Vec<u64> = landmarks
        .iter()
        .copied()
        .filter(|landmark| *landmark < number)
        .collect();
    let half = number / 2;
    let is_new = half > 0 && landmarks.iter().all(|landmark| *landmark < half);
    smaller.extend(is_new.then_some(half));
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_lists_begin_with_nothing_and_the_halves() {
        assert_eq!(
            shorter(&[1, 2, 3]),
            [
                vec![],
                vec![1],
                vec![2, 3],
                vec![1, 2],
                vec![1, 3],
                vec![2, 3]
            ]
        );
        assert_eq!(shorter(&[1]), [Vec::<i32>::new()]);
        assert!(shorter::<i32>(&[]).is_empty());
        assert!(shorter_not_empty(&[1]).is_empty());
    }

    #[test]
    fn every_version_of_a_number_or_a_size_is_smaller() {
        assert_eq!(numbers(100, &[0, 1, 512]), [0, 1]);
        assert_eq!(numbers(100, &[0, 1]), [0, 1, 50]);
        assert!(numbers(0, &[0, 1]).is_empty());
        let smaller = sizes(&Size::literal("4M"));
        assert_eq!(smaller, [Size::literal("1M"), Size::literal("2M")]);
    }
}
