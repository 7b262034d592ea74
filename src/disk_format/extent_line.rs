//! A line of a vmdk's descriptor that names an extent: `RW 4192256 FLAT "disk-f001.vmdk" 0`.
//!
//! Whatever reads descriptors uses it. It reads one line and refuses nothing: what an extent may be is for its callers to say.
//! Source: VMware Virtual Disk Format 5.0, The Extent Descriptions: access, size in sectors, type, name, and offset in sectors.

/// What may be done with an extent.
const ACCESS: [&str; 3] = ["RW", "RDONLY", "NOACCESS"];

/// The words of the line.
pub struct ExtentLine<'line> {
    pub access: &'line str,
    /// None where it is no number.
    pub sectors: Option<u64>,
    /// `FLAT`, `SPARSE`, `ZERO`, ...
    pub kind: &'line str,
    pub file_name: Option<&'line str>,
    /// Where it begins in its file, in sectors: 0 where the line does not tell.
    pub offset: u64,
}

impl<'line> ExtentLine<'line> {
    /// Returns none for a line about anything else. Blanks at its ends do not count.
    pub fn parsed(line: &'line str) -> Option<Self> {
        let mut quoted = line.split('"');
        let mut words = quoted.next()?.split_whitespace();
        let access = words.next().filter(|word| ACCESS.contains(word))?;
        let sectors = words.next()?.parse().ok();
        let kind = words.next().unwrap_or_default();
        let file_name = quoted.next();
        let offset = quoted.next().and_then(|rest| rest.trim().parse().ok());
        Some(Self {
            access,
            sectors,
            kind,
            file_name,
            offset: offset.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_access_size_type_name_and_offset_and_other_lines_are_none() {
        let line = ExtentLine::parsed("  RDONLY 63 FLAT \"a b.vmdk\" 128\r").unwrap();
        assert_eq!(
            (line.access, line.sectors, line.kind),
            ("RDONLY", Some(63), "FLAT")
        );
        assert_eq!((line.file_name, line.offset), (Some("a b.vmdk"), 128));
        let zeros = ExtentLine::parsed("NOACCESS 8 ZERO").unwrap();
        assert_eq!((zeros.file_name, zeros.offset), (None, 0));
        assert_eq!(ExtentLine::parsed("RW many FLAT").unwrap().sectors, None);
        for other in ["", "RW", "RWX 8 FLAT", "CID=fffffffe", "# RW 8 ZERO"] {
            assert!(ExtentLine::parsed(other).is_none(), "{other}");
        }
    }
}
