//! A fault: the call of a tool that fails on purpose, and how.
//!
//! The preloaded half of a fork server makes it (`preload/faults.rs`), which reads it from a variable of the call's environment.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// The variable that tells the preloaded half.
const VARIABLE: &str = "IMGDUEL_FAULT";

/// A call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// The kind of the call.
    pub call: FaultyCall,
    /// Its number among the tool's calls of that kind, from 1.
    pub number: u32,
    /// What comes of it.
    pub how: FaultKind,
}

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultyCall {
    /// `pwrite` and `pwritev`.
    Write,
    /// `fsync`, `fdatasync` and `syncfs`.
    Flush,
    /// `fallocate`.
    Allocate,
    /// `ftruncate`.
    Truncate,
    /// `pread` and `preadv`.
    Read,
}

/// What comes of a call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An input/output error (EIO).
    Eio,
    /// No space is left (ENOSPC).
    Enospc,
    /// Half of the data is written or read.
    Short,
    /// The tool is killed before it.
    Kill,
}

impl FaultyCall {
    /// All kinds of calls, the simplest first.
    pub const ALL: [Self; 5] = [
        Self::Write,
        Self::Flush,
        Self::Allocate,
        Self::Truncate,
        Self::Read,
    ];

    /// Returns its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Allocate => "allocate",
            Self::Truncate => "truncate",
            Self::Read => "read",
        }
    }
}

impl FaultKind {
    /// All kinds, the simplest first.
    pub const ALL: [Self; 4] = [Self::Eio, Self::Enospc, Self::Short, Self::Kill];

    /// Returns its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eio => "eio",
            Self::Enospc => "enospc",
            Self::Short => "short",
            Self::Kill => "kill",
        }
    }
}

impl Fault {
    /// Returns the variable of the environment that asks for it.
    pub fn variable(&self) -> (OsString, OsString) {
        let value = format!("{}:{}:{}", self.call.name(), self.number, self.how.name());
        (VARIABLE.into(), value.into())
    }

    /// Whether a call's variables ask for a fault.
    pub fn is_asked_by(variables: &[(OsString, OsString)]) -> bool {
        variables.iter().any(|(name, _)| name == VARIABLE)
    }
}
