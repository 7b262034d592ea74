//! Draws the recipes as the Python harness does since its generation ops16s, and as its retired script cow-soak did.

use super::steps::{Deed, FixtureImage, FixtureStep};
use super::{Command, Shape, SnapshotBearing};
use crate::base::rng::PythonRandom;
use crate::image::content::{Fill, Write};
use crate::image::format::SECTOR_BYTES;

const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];
const COMMIT_SIZES: [u64; 3] = [16 << 20, 32 << 20, 64 << 20];
const REBASE_SIZES: [u64; 3] = [8 << 20, 16 << 20, 32 << 20];
const BENCH_SIZE: u64 = 64 << 20;

/// The length of a request of the benchmark.
const REQUEST_BYTES: u64 = 4096;

/// The byte between the last part of a benchmark's image and the end of what will be written.
const REST_BYTE: u8 = 0xaa;

impl SnapshotBearing {
    /// Draws the cluster size, which the Python harness draws first.
    pub fn draw_cluster_size(random: &mut PythonRandom) -> u64 {
        *random.choice(&CLUSTER_SIZES)
    }

    /// Draws all but the cluster size.
    pub fn draw(command: Command, random: &mut PythonRandom, cluster_size: u64) -> Self {
        let drawn = Self {
            snapshot_bearing: true,
            shape: None,
            cluster_size,
            size: BENCH_SIZE,
            count: None,
            pattern: None,
            steps: Vec::new(),
            snaps: Vec::new(),
            command,
        };
        match command {
            Command::Commit => drawn.commit(random),
            Command::Rebase => drawn.rebase(random),
            Command::Bench => drawn.bench(random),
        }
    }

    fn commit(mut self, random: &mut PythonRandom) -> Self {
        self.size = *random.choice(&COMMIT_SIZES);
        let shape = *random.choice(&[Shape::Backing, Shape::Overlay]);
        self.shape = Some(shape);
        self.write(random, FixtureImage::Base);
        if shape == Shape::Backing {
            self.snapshots(random, FixtureImage::Base, "snap");
        }
        self.write(random, FixtureImage::Overlay);
        if shape == Shape::Overlay {
            self.snapshots(random, FixtureImage::Overlay, "osnap");
        }
        self
    }

    fn rebase(mut self, random: &mut PythonRandom) -> Self {
        self.size = *random.choice(&REBASE_SIZES);
        for image in [FixtureImage::BaseOld, FixtureImage::BaseNew] {
            let count = random.randint(2, 5);
            self.write_times(random, image, count);
        }
        self.write(random, FixtureImage::Overlay);
        self.snapshots(random, FixtureImage::Overlay, "snap");
        self
    }

    fn bench(mut self, random: &mut PythonRandom) -> Self {
        let count = random.randint(50, 200);
        self.count = Some(count);
        self.pattern = Some(random.randint(1, 254) as u8);
        let parts = random.randint(1, 2);
        let span = count * REQUEST_BYTES;
        let step = (span / parts / REQUEST_BYTES * REQUEST_BYTES).max(REQUEST_BYTES);
        let mut offset = 0;
        for part in 1..=parts {
            let byte = random.randint(1, 255) as u8;
            let part_writes = |offset, length, byte| {
                vec![Write {
                    offset,
                    length,
                    fill: Fill::Byte(byte),
                }]
            };
            self.add(FixtureImage::Img, part_writes(offset, step, byte));
            offset += step;
            if part == parts && offset < span {
                let rest = part_writes(offset, span - offset, REST_BYTE);
                self.add(FixtureImage::Img, rest);
            }
            self.snapshot(FixtureImage::Img, format!("snap{part}"));
        }
        self
    }

    /// One to three times writes and a snapshot, and in half of the cases writes after the last one.
    fn snapshots(&mut self, random: &mut PythonRandom, image: FixtureImage, prefix: &str) {
        for number in 1..=random.randint(1, 3) {
            self.write(random, image);
            self.snapshot(image, format!("{prefix}{number}"));
        }
        if random.chance(0.5) {
            self.write(random, image);
        }
    }

    /// One to four writes.
    fn write(&mut self, random: &mut PythonRandom, image: FixtureImage) {
        let count = random.randint(1, 4);
        self.write_times(random, image, count);
    }

    fn write_times(&mut self, random: &mut PythonRandom, image: FixtureImage, count: u64) {
        let size = self.size;
        let draw = |_| {
            let length = (random.randint(1, 8) * SECTOR_BYTES).min(size);
            let offset = random.randint(0, size - length) / SECTOR_BYTES * SECTOR_BYTES;
            let byte = random.randint(1, 255) as u8;
            Write {
                offset,
                length,
                fill: Fill::Byte(byte),
            }
        };
        let writes = (0..count).map(draw).collect();
        self.add(image, writes);
    }

    fn add(&mut self, image: FixtureImage, writes: Vec<Write>) {
        let deed = Deed::Writes(writes);
        self.steps.push(FixtureStep { image, deed });
    }

    fn snapshot(&mut self, image: FixtureImage, name: String) {
        self.snaps.push(name.clone());
        let deed = Deed::Snapshot(name);
        self.steps.push(FixtureStep { image, deed });
    }
}
