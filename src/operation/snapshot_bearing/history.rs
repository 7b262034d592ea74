//! What a guest must see in the images and snapshots of a recipe, as lists of writes.
//!
//! A write to a part of a cluster copies the rest of the cluster from the backing file as it is then; all that an image or snapshot does not have
//! itself is read from the backing file as it is now (qcow2 specification, "Cluster mapping", "Snapshots").

use super::steps::{FixtureImage, FixtureStep};
use crate::image::content::{Fill, Write};

/// The steps of a recipe.
pub(super) struct History<'steps> {
    cluster_size: u64,
    steps: &'steps [FixtureStep],
}

impl<'steps> History<'steps> {
    pub(super) fn new(cluster_size: u64, steps: &'steps [FixtureStep]) -> Self {
        Self {
            cluster_size,
            steps,
        }
    }

    /// Returns all writes to an image.
    pub(super) fn writes(&self, image: FixtureImage) -> Vec<Write> {
        written(self.steps, image)
    }

    /// Returns, for each snapshot of an image, the writes to it until then.
    pub(super) fn snapshots(&self, image: FixtureImage) -> Vec<Vec<Write>> {
        let taken = self.steps.iter().enumerate().filter(|(_, step)| {
            let snapshot = step.snapshot();
            snapshot.is_some_and(|(of, _)| of == image)
        });
        taken
            .map(|(index, _)| written(&self.steps[..index], image))
            .collect()
    }

    /// Returns what is seen through an image with the writes `own`, made while its backing file had the writes `then`, once the backing file
    /// has the writes `now`.
    pub(super) fn over(&self, now: &[Write], then: &[Write], own: Vec<Write>) -> Vec<Write> {
        let mut seen = now.to_vec();
        for write in &own {
            let start = write.offset / self.cluster_size * self.cluster_size;
            let end = (write.offset + write.length).next_multiple_of(self.cluster_size);
            seen.push(Write {
                offset: start,
                length: end - start,
                fill: Fill::Byte(0),
            });
            let copied = then.iter().filter_map(|below| below.within(start, end));
            seen.extend(copied);
        }
        seen.extend(own);
        seen
    }
}

fn written(steps: &[FixtureStep], image: FixtureImage) -> Vec<Write> {
    let own = steps.iter().filter(|step| step.image == image);
    own.flat_map(FixtureStep::writes).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::content::Contents;

    #[test]
    fn a_cluster_that_an_image_has_itself_hides_what_is_below_now() {
        let write = |offset, byte| Write {
            offset,
            length: 512,
            fill: Fill::Byte(byte),
        };
        let history = History::new(4096, &[]);
        let (then, now) = (
            [write(0, 1), write(512, 1)],
            [write(1024, 2), write(8192, 2)],
        );
        let seen = history.over(&now, &then, vec![write(512, 3), write(1536, 4)]);
        let wanted = [write(0, 1), write(512, 3), write(1536, 4), write(8192, 2)];
        let contents = |writes: &[Write]| Contents::of_writes(1 << 20, writes);
        assert_eq!(contents(&seen), contents(&wanted));
    }
}
