//! Lies about what readers3 draws: a reader that takes something in an unusual image for what it usually is. The stand-in changes a copy of the
//! image as the lie sees it, and lets the real tool read that.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use imgduel::image::content::copy_sparse;
use serde_json::Value;

use crate::catalogue::Lie;
use crate::liar::{Call, Effect};

/// A lie with a text that every case has in which it may show.
pub struct ReaderLie {
    pub lie: Lie,
    pub mark: &'static str,
}

pub const fn lie(
    name: &'static str,
    mark: &'static str,
    tell: fn(&Call) -> Option<Effect>,
) -> ReaderLie {
    ReaderLie {
        lie: Lie {
            name,
            is_rare: false,
            tell,
        },
        mark,
    }
}

/// An image that is changed.
struct Copy {
    file: File,
    /// Whether anything was changed.
    is_other: bool,
}

impl Copy {
    fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let _ = self.file.read_at(&mut bytes, offset);
        bytes
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        if self.bytes(offset, bytes.len()) != bytes {
            self.file.write_all_at(bytes, offset).unwrap();
            self.is_other = true;
        }
    }

    fn big(&self, offset: u64) -> u64 {
        u64::from_be_bytes(self.bytes(offset, 8).try_into().unwrap())
    }

    fn big32(&self, offset: u64) -> u64 {
        u32::from_be_bytes(self.bytes(offset, 4).try_into().unwrap()).into()
    }

    fn little(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.bytes(offset, 8).try_into().unwrap())
    }

    fn little32(&self, offset: u64) -> u64 {
        u32::from_le_bytes(self.bytes(offset, 4).try_into().unwrap()).into()
    }

    /// Changes the entries of a qcow2's active L2 tables; the second word of an extended entry is its bitmap, otherwise it is 0.
    fn l2(&mut self, change: impl Fn(u64, u64) -> (u64, u64)) {
        let cluster = 1_u64 << self.big32(20);
        let is_extended = self.big32(4) == 3 && self.big(72) & 16 != 0;
        let step = if is_extended { 16 } else { 8 };
        let (l1, entries) = (self.big(40), self.big32(36));
        for index in 0..entries {
            let table = self.big(l1 + index * 8) & 0x00ff_ffff_ffff_fe00;
            if table == 0 {
                continue;
            }
            for place in (table..table + cluster).step_by(step) {
                let entry = self.big(place);
                let bitmap = if is_extended { self.big(place + 8) } else { 0 };
                let (now, now_bitmap) = change(entry, bitmap);
                self.put(place, &now.to_be_bytes());
                if is_extended {
                    self.put(place + 8, &now_bitmap.to_be_bytes());
                }
            }
        }
    }

    /// Changes the entries of a vhdx's block table.
    fn bat(&mut self, change: impl Fn(u64) -> u64) {
        let regions = 192 << 10;
        for index in 0..self.little32(regions + 8) {
            let entry = regions + 16 + index * 32;
            if self.bytes(entry, 4) == [0x66, 0x77, 0xc2, 0x2d] {
                let table = self.little(entry + 16);
                for place in (table..table + 4096).step_by(8) {
                    let now = change(self.little(place));
                    self.put(place, &now.to_le_bytes());
                }
            }
        }
    }

    /// Changes a vhdx's headers.
    fn headers(&mut self, change: impl Fn(usize, &mut [u8])) {
        for (index, offset) in [64 << 10, 128 << 10].into_iter().enumerate() {
            let mut header = self.bytes(offset, 4096);
            let is_sound = header.starts_with(b"head") && header[4..8] != [0; 4];
            if is_sound {
                change(index, &mut header);
                header[4..8].fill(0);
                let sum = crc32c::crc32c(&header);
                header[4..8].copy_from_slice(&sum.to_le_bytes());
                self.put(offset, &header);
            }
        }
    }

    /// Replaces the name of the backing file of a qcow2.
    fn rename(&mut self, change: impl Fn(&str) -> String) {
        let (offset, length) = (self.big(8), self.big32(16));
        if offset == 0 {
            return;
        }
        let name = String::from_utf8(self.bytes(offset, length as usize)).unwrap();
        let now = change(&name);
        self.put(offset, now.as_bytes());
        self.put(16, &(now.len() as u32).to_be_bytes());
    }

    /// Replaces the text of a descriptor.
    fn describe(&mut self, change: impl Fn(&str) -> String) {
        let length = self.file.metadata().unwrap().len();
        let bytes = self.bytes(0, length.min(1 << 16) as usize);
        if !bytes.starts_with(b"# Disk") {
            return;
        }
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let now: Vec<u8> = change(&text).chars().map(|letter| letter as u8).collect();
        self.put(0, &now);
        self.file.set_len(now.len() as u64).unwrap();
    }
}

/// Lets the call read a changed copy of the image of this format; `None` if that changes nothing.
fn on_copy(call: &Call, format: &str, change: impl Fn(&mut Copy, &str)) -> Option<Effect> {
    let words = call.arguments.iter();
    let names = words.map(|word| {
        let (_, name) = word.split_once("file.filename=").unwrap_or(("", word));
        name.split(',').next().unwrap_or_default()
    });
    let is_image = |name: &&str| name.ends_with(&format!("written.{format}"));
    let name = names
        .into_iter()
        .find(is_image)
        .filter(|name| Path::new(name).exists())?;
    let other = format!("{name}.lie");
    let _ = std::fs::remove_file(&other);
    copy_sparse(Path::new(name), Path::new(&other)).ok()?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&other)
        .ok()?;
    let mut copy = Copy {
        file,
        is_other: false,
    };
    change(&mut copy, name);
    // The names of what is made begin with that of the image, and stay.
    let named = |word: &String| {
        let (_, own) = word.split_once("file.filename=").unwrap_or(("", word));
        let is_it = own == name
            || own
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(','));
        match is_it {
            true => format!(
                "{}{}",
                &word[..word.len() - own.len()],
                own.replacen(name, &other, 1)
            ),
            false => word.clone(),
        }
    };
    let arguments = call.arguments.iter().map(named).collect();
    copy.is_other.then_some(Effect::Instead(arguments))
}

/// Whether an L2 entry of a qcow2 is that of a cluster of its own.
fn is_plain(entry: u64) -> bool {
    entry & (1 << 62) == 0
}

fn cut(call: &Call, bits: u32) -> Option<Effect> {
    let mask = ((1_u64 << bits) - 1) | 0xff00_0000_0000_01ff;
    on_copy(call, "qcow2", |copy, _| {
        copy.l2(|entry, bitmap| (if is_plain(entry) { entry & mask } else { entry }, bitmap));
    })
}

fn says(call: &Call, name: &str, change: fn(String) -> String) -> Option<Effect> {
    call.is(name).then_some(Effect::Says(change))
}

/// Changes every number of this name in a map.
fn in_map(text: String, change: fn(&mut Value)) -> String {
    let Ok(mut map) = serde_json::from_str::<Value>(&text) else {
        return text;
    };
    map.as_array_mut().into_iter().flatten().for_each(change);
    map.to_string()
}

/// All of them.
pub const READER: &[ReaderLie] = &[
    lie("cuts_offsets_to_31_bits", "beyond_2_gib", |call| {
        cut(call, 31)
    }),
    lie("cuts_offsets_to_32_bits", "beyond_4_gib", |call| {
        cut(call, 32)
    }),
    lie("ignores_the_zero_flag", "zeroes_over_data", |call| {
        on_copy(call, "qcow2", |copy, _| {
            copy.l2(|entry, bitmap| (if is_plain(entry) { entry & !1 } else { entry }, bitmap));
        })
    }),
    lie("looks_below_zero_clusters", "zero_clusters", |call| {
        on_copy(call, "qcow2", |copy, _| {
            copy.l2(|entry, bitmap| (if entry == 1 { 0 } else { entry }, bitmap));
        })
    }),
    lie("masks_compressed_sectors_to_8_bits", "clusters\"", |call| {
        on_copy(call, "qcow2", |copy, _| {
            let shift = 62 - (copy.big32(20) - 8);
            let count = (1_u64 << 62) - (1 << shift);
            copy.l2(|entry, bitmap| match is_plain(entry) {
                true => (entry, bitmap),
                false => ((entry & !count) | (entry & count & (0xff << shift)), bitmap),
            });
        })
    }),
    lie(
        "begins_compressed_clusters_at_sectors",
        "packed_clusters",
        |call| {
            on_copy(call, "qcow2", |copy, _| {
                copy.l2(|entry, bitmap| match is_plain(entry) {
                    true => (entry, bitmap),
                    false => (entry & !511, bitmap),
                });
            })
        },
    ),
    lie(
        "takes_the_order_of_l2_tables_for_granted",
        "shuffled",
        |call| {
            on_copy(call, "qcow2", |copy, _| {
                let (l1, entries) = (copy.big(40), copy.big32(36));
                let places: Vec<u64> = (0..entries)
                    .filter(|index| copy.big(l1 + index * 8) != 0)
                    .collect();
                let mut tables: Vec<u64> = places
                    .iter()
                    .map(|index| copy.big(l1 + index * 8))
                    .collect();
                tables.sort_by_key(|table| table & !(1 << 63));
                for (index, table) in places.iter().zip(tables) {
                    copy.put(l1 + index * 8, &table.to_be_bytes());
                }
            })
        },
    ),
    lie("ignores_the_bitmap_of_subclusters", "extended_l2", |call| {
        on_copy(call, "qcow2", |copy, _| {
            copy.l2(
                |entry, bitmap| match bitmap != 0 && is_plain(entry) && entry != 0 {
                    true => (entry, 0xffff_ffff),
                    false => (entry, bitmap),
                },
            );
        })
    }),
    lie(
        "takes_the_last_part_of_a_backing_name",
        "backing_in_directory",
        |call| {
            on_copy(call, "qcow2", |copy, _| {
                copy.rename(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
            })
        },
    ),
    lie(
        "looks_for_backing_files_where_it_works",
        "image_in_directory",
        |call| {
            on_copy(call, "qcow2", |copy, name| {
                if name.contains('/') {
                    copy.rename(|below| format!("../{below}"));
                }
            })
        },
    ),
    lie("ignores_the_pending_log", "log", |call| {
        on_copy(call, "vhdx", |copy, _| {
            copy.headers(|_, header| header[48..64].fill(0))
        })
    }),
    lie("takes_the_first_header", "second_header", |call| {
        on_copy(call, "vhdx", |copy, _| {
            copy.headers(|index, header| {
                if index == 1 {
                    header[8..16].fill(0)
                }
            });
        })
    }),
    lie(
        "cuts_offsets_of_a_vhdx_to_32_bits",
        "beyond_4_gib",
        |call| {
            on_copy(call, "vhdx", |copy, _| {
                copy.bat(|entry| entry & 0xffff_ffff)
            })
        },
    ),
    lie("shows_what_lies_in_zero_blocks", "block_states", |call| {
        on_copy(call, "vhdx", |copy, _| {
            copy.bat(|entry| {
                if entry & 7 == 2 && entry > 7 {
                    entry | 6
                } else {
                    entry
                }
            });
        })
    }),
    lie("cuts_offsets_of_a_vpc_to_32_bits", "beyond_4_gib", |call| {
        on_copy(call, "vpc", |copy, _| {
            let header = copy.big(16);
            if header == u64::MAX {
                return;
            }
            let (table, entries) = (copy.big(header + 16), copy.big32(header + 28));
            for place in (0..entries).map(|index| table + index * 4) {
                let entry = copy.big32(place);
                if entry != 0xffff_ffff {
                    copy.put(place, &((entry & 0x7f_ffff) as u32).to_be_bytes());
                }
            }
        })
    }),
    lie(
        "reads_discarded_blocks_as_the_first",
        "discarded_blocks",
        |call| {
            on_copy(call, "vdi", |copy, _| {
                let (map, blocks) = (copy.little32(340), copy.little32(384));
                for place in (0..blocks).map(|index| map + index * 4) {
                    if copy.little32(place) == 0xffff_fffe {
                        copy.put(place, &0_u32.to_le_bytes());
                    }
                }
            })
        },
    ),
    lie(
        "takes_the_map_of_a_vdi_to_lie_at_its_usual_place",
        "map_at_1_mib",
        |call| on_copy(call, "vdi", |copy, _| copy.put(340, &512_u32.to_le_bytes())),
    ),
    lie("ignores_the_second_extent", "several_extents", |call| {
        on_copy(call, "vmdk", |copy, _| {
            copy.describe(|text| {
                let mut seen = 0;
                let lines = text.split_inclusive('\n').filter(|line| {
                    seen += u8::from(line.starts_with("RW "));
                    !line.starts_with("RW ") || seen != 2
                });
                lines.collect()
            });
        })
    }),
    lie("begins_every_flat_extent_at_0", "flat_ranges", |call| {
        on_copy(call, "vmdk", |copy, _| {
            copy.describe(|text| {
                let lines = text
                    .split_inclusive('\n')
                    .map(|line| match line.split_once("\" ") {
                        Some((start, _)) if line.contains(" FLAT ") => format!("{start}\" 0\n"),
                        _ => line.to_owned(),
                    });
                lines.collect()
            });
        })
    }),
    lie(
        "takes_sectors_for_clusters_in_parallels",
        "old_magic",
        |call| {
            on_copy(call, "parallels", |copy, _| {
                copy.put(0, b"WithouFreSpacExt")
            })
        },
    ),
    lie("masks_compressed_bytes_of_a_qcow", "\"qcow\"", |call| {
        on_copy(call, "qcow", |copy, _| {
            let bits = u64::from(copy.bytes(32, 1)[0]);
            let (l2_bits, l1, size) = (u64::from(copy.bytes(33, 1)[0]), copy.big(40), copy.big(24));
            let mask = ((1_u64 << bits) - 1) & !0xff;
            for table in (0..size.div_ceil(1 << (bits + l2_bits))).map(|index| l1 + index * 8) {
                let table = copy.big(table);
                for place in (0..1 << l2_bits)
                    .map(|index| table + index * 8)
                    .filter(|_| table != 0)
                {
                    let entry = copy.big(place);
                    if entry >> 63 == 1 {
                        copy.put(place, &(entry & !(mask << (63 - bits))).to_be_bytes());
                    }
                }
            }
        })
    }),
    lie(
        "follows_a_header_in_raw_data",
        "data_like_a_header",
        |call| {
            let place = call
                .arguments
                .windows(2)
                .position(|pair| pair == ["-f", "raw"])?;
            let mut arguments = call.arguments.clone();
            arguments.drain(place..place + 2);
            Some(Effect::Instead(arguments))
        },
    ),
    lie("maps_offsets_in_32_bits", "beyond_4_gib", |call| {
        says(call, "map", |text| {
            in_map(text, |range| {
                if let Some(offset) = range["offset"].as_u64() {
                    range["offset"] = (offset & 0xffff_ffff).into();
                }
            })
        })
    }),
    lie("maps_every_hole_as_data", "map", |call| {
        says(call, "map", |text| {
            in_map(text, |range| range["start"] = 0.into())
        })
    }),
    lie(
        "tells_the_last_part_of_a_backing_name",
        "backing_in_directory",
        |call| {
            says(call, "info", |text| {
                let Ok(mut info) = serde_json::from_str::<Value>(&text) else {
                    return text;
                };
                let name = info["backing-filename"].as_str();
                let name = name
                    .and_then(|name| name.rsplit('/').next())
                    .map(str::to_owned);
                if let Some(name) = name {
                    info["backing-filename"] = name.into();
                }
                info.to_string()
            })
        },
    ),
    lie("finds_no_difference", "compare_other", |call| {
        let is_told = call.is("compare");
        is_told.then(|| Effect::Instead(vec!["--version".to_owned()]))
    }),
    lie("ignores_what_snapshots_hold", "shared_clusters", |call| {
        let place = call.arguments.iter().position(|word| word == "-l")?;
        let mut arguments = call.arguments.clone();
        arguments.drain(place..place + 2);
        call.is("convert").then_some(Effect::Instead(arguments))
    }),
];
