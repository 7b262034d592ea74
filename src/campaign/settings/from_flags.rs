//! Settings for programs of one's own, parsed as the command does.

use std::ffi::OsString;

use super::Settings;
use super::flags::Flags;
use super::reading::{Read, read_from};
use crate::base::error::{Error, Result};

impl Settings {
    /// Parses settings as the command does, from flags such as `["--candidate", "qemu-img", "--timeout", "10"]`. Missing flags are taken from
    /// environment variables, then from `imgduel.toml`, then from the defaults that `docs/command.md` lists. Fails with a one-line usage error.
    pub fn from_flags<Word: Into<OsString>>(flags: impl IntoIterator<Item = Word>) -> Result<Self> {
        let words: Vec<OsString> = std::iter::once("imgduel".into())
            .chain(flags.into_iter().map(Into::into))
            .collect();
        match read_from::<Flags>(&words)? {
            Read::Arguments(flags) => Ok(flags.settings),
            Read::Help(_) | Read::NoCommand => Err(Error::usage("these are no settings")),
        }
    }
}
