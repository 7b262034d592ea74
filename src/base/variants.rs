//! Shrink candidates of plain values (shorter lists, smaller sizes, fewer options), and a measure of a case's size.
//!
//! The image recipe and the operations build their shrink candidates from these. Every list of candidates begins with the one that removes
//! most. Each operation decides itself which of its parts can be shrunk.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;

/// The virtual sizes that a size can shrink to.
const SIZES: [&str; 7] = ["1M", "2M", "4M", "16M", "64M", "256M", "1G"];

/// The size of a case, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseSize {
    /// Operations, or the steps of an operation that is a list of them.
    pub operations: usize,
    /// Options that differ from the defaults.
    pub options: usize,
    /// Guest writes.
    pub writes: usize,
}

impl CaseSize {
    /// The size of one operation with this number of non-default options and no guest writes.
    pub fn of_operation(options: usize) -> Self {
        Self {
            operations: 1,
            options,
            writes: 0,
        }
    }
}

impl Add for CaseSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            options: self.options + other.options,
            writes: self.writes + other.writes,
        }
    }
}

impl Sum for CaseSize {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// Collects the shrink candidates of a value: each is a copy of the value with one change.
pub struct Versions<'whole, Whole> {
    whole: &'whole Whole,
    found: Vec<Whole>,
}

impl<'whole, Whole: Clone> Versions<'whole, Whole> {
    /// An empty collection for `whole`.
    pub fn new(whole: &'whole Whole) -> Self {
        Self {
            whole,
            found: Vec::new(),
        }
    }

    /// Adds one candidate for each of these simpler parts; `put` stores the part in a copy of the value.
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

    /// Adds one candidate with this change if `is_change`, that is, if the change would have an effect.
    pub fn when(self, is_change: bool, change: impl Fn(&mut Whole)) -> Self {
        self.each(is_change.then_some(()), |version, ()| change(version))
    }

    /// All candidates, in the order in which they were added.
    pub fn all(self) -> std::vec::IntoIter<Whole> {
        self.found.into_iter()
    }
}

/// Shorter versions of a list: the empty list, both halves, and the lists with one element removed, beginning with the last element.
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

/// The non-empty lists of [`shorter`], for lists that must not be empty.
pub fn shorter_not_empty<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    let mut versions = shorter(list);
    versions.retain(|version| !version.is_empty());
    versions
}

/// Versions of a list in which one element is replaced by one of its simpler versions.
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

/// The sizes of a fixed list (1M to 1G) that are smaller than `size`.
pub fn sizes(size: &Size) -> Vec<Size> {
    let usual = SIZES.iter().map(|text| Size::literal(text));
    usual
        .filter(|smaller| smaller.bytes() < size.bytes())
        .collect()
}

/// Smaller numbers: the `landmarks` below `number`, then half of it, if that is above all landmarks.
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
    fn shorter_lists_begin_with_the_empty_list_and_the_halves() {
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
