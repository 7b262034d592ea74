//! The messages between imgduel and the processes that start tools for it: the zygote, and a tool that waits as a fork server.
//!
//! The one description of them: both ends include this file (`src/process.rs` by its path, `preload/lib.rs` as a module), so that neither can
//! disagree with the other. It knows no socket and no file; it uses `core` alone, as one end has nothing else.
//!
//! The two ends speak over a socket of sequenced packets. A zygote's first message is a *setup* (`SetupHead`): what it enters for good. Then a
//! process says `Reply::Hello` and waits for calls. A *call* (`CallHead`) comes in with its descriptors; one reply tells that the child has
//! ended, with its status, CPU time and peak of memory, or the error that kept it from being started; where the call asks for it, one before
//! tells that it has started. `REAP` lets the child be reaped: until then its number is its own. Whoever wants to know the number meanwhile
//! finds it in the pid file (`PidFileEntry`), a file without a name, where the child writes it before it does anything else. A process whose
//! socket closes ends, and ends its child with it.
//!
//! Numbers are in the machine's own byte order, as both ends are on one machine.

/// The version of the messages; both ends are of one build, so this only guards against a foreign file.
pub const VERSION: u32 = 7;

/// Every message is shorter than this, in bytes: a call with its arguments and environment, or a setup.
pub const MESSAGE_BYTES: usize = 128 << 10;

/// The most words (arguments, or environment variables) of a call, and the most limits.
pub const WORDS_MAX: usize = 2048;

/// The most descriptors that come with a message: standard output, standard error and, where the head says so, standard input and a Landlock
/// ruleset, in this order.
pub const DESCRIPTORS_MAX: usize = 4;

/// The leave to reap the child; it is not answered.
pub const REAP: &[u8] = b"reap";

/// How a process ends that could not do what it is there for, before anything of a tool ran.
pub const EXIT_LOST: i32 = 127;

/// The bytes of a number in a head.
pub const NUMBER_BYTES: usize = size_of::<u64>();

/// Flags of a call.
pub mod call_flag {
    /// Flushes reach the disk.
    pub const IS_DURABLE: u64 = 1;
    /// Standard input is among the descriptors.
    pub const HAS_STDIN: u64 = 2;
    /// A Landlock ruleset is among the descriptors.
    pub const HAS_RULESET: u64 = 4;
    /// The destructors of the tool's libraries are left out.
    pub const SPARES_LIBRARIES: u64 = 8;
    /// The start is told as well.
    pub const TELLS_START: u64 = 16;
    /// Benchmarks of key derivation are short.
    pub const SHORTENS_BENCHMARKS: u64 = 32;
    /// The tool's detached threads share its first one.
    pub const SHARES_ITS_THREAD: u64 = 64;
}

/// Flags of a setup.
pub mod setup_flag {
    /// Capabilities are given up.
    pub const GIVES_UP_RIGHTS: u64 = 1;
    /// A Landlock ruleset is with the message.
    pub const HAS_RULESET: u64 = 2;
    /// The process moves to namespaces of mounts, of System V IPC and of the network.
    pub const IS_APART: u64 = 4;
    /// It does so inside a namespace of users, having no rights outside.
    pub const NEEDS_USERS: u64 = 8;
}

/// The head of a call. After it come the limits, [`CallHead::LIMIT_NUMBERS`] numbers each (which, soft, hard); then, each ended by a zero byte,
/// the program, the directory, the arguments and the environment variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallHead {
    /// Of [`call_flag`].
    pub flags: u64,
    /// How many limits follow.
    pub limits: u64,
    /// How many arguments follow, the program's own name among them.
    pub arguments: u64,
    /// How many environment variables follow.
    pub variables: u64,
    /// The call's own number, for the pid file.
    pub number: u64,
}

impl CallHead {
    /// How many numbers it is.
    pub const NUMBERS: usize = 5;

    /// How many numbers a limit is.
    pub const LIMIT_NUMBERS: usize = 3;

    /// The head as its numbers.
    pub fn encode(&self) -> [u64; Self::NUMBERS] {
        let Self {
            flags,
            limits,
            arguments,
            variables,
            number,
        } = *self;
        [flags, limits, arguments, variables, number]
    }

    /// The head of a message; `None` where the message is shorter than a head, or counts more than [`WORDS_MAX`] of anything.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let [flags, limits, arguments, variables, number] = numbers(message)?;
        let fits = |count: u64| count <= WORDS_MAX as u64;
        (fits(limits) && fits(arguments) && fits(variables)).then_some(Self {
            flags,
            limits,
            arguments,
            variables,
            number,
        })
    }

    /// Whether one of [`call_flag`] is set.
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// The head of a setup. After it come the instructions of the system-call filters, eight bytes each (`struct sock_filter`), and, ended by a zero
/// byte, the one directory that stays writable in namespaces of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupHead {
    /// Of [`setup_flag`].
    pub flags: u64,
    /// The capabilities that are kept, a bit for each.
    pub rights_kept: u64,
    /// The lengths of the filters in instructions; 0: none.
    pub filters: [u64; Self::FILTERS_MAX],
}

impl SetupHead {
    /// How many numbers it is.
    pub const NUMBERS: usize = 2 + Self::FILTERS_MAX;

    /// The most filters.
    pub const FILTERS_MAX: usize = 3;

    /// The head as its numbers.
    pub fn encode(&self) -> [u64; Self::NUMBERS] {
        let [first, second, third] = self.filters;
        [self.flags, self.rights_kept, first, second, third]
    }

    /// The head of a message; `None` where the message is shorter than a head.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let [flags, rights_kept, filters @ ..] = numbers::<{ Self::NUMBERS }>(message)?;
        Some(Self {
            flags,
            rights_kept,
            filters,
        })
    }

    /// Whether one of [`setup_flag`] is set.
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// What a process says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It waits for calls.
    Hello {
        /// The version that it speaks.
        version: u32,
    },
    /// The child has become the tool.
    Started {
        /// The child's process id.
        process: i32,
    },
    /// The child has ended; nobody else gets its id until it is reaped.
    Ended {
        /// The child's process id.
        process: i32,
        /// As wait(2) tells it.
        status: u32,
        /// CPU time of the child and of starting it.
        cpu_microseconds: u64,
        /// The most memory that it had at once.
        peak_kibibytes: u32,
    },
    /// The system refused the child what it was to be, by this error number; nothing of the tool ran.
    NotStarted {
        /// As of errno(3).
        error: i32,
    },
    /// The call is longer than a process can take.
    TooLong,
    /// The process could not enter its setup, by this error number, and ends.
    CannotEnter {
        /// As of errno(3).
        error: i32,
    },
}

impl Reply {
    /// The length of every reply.
    pub const BYTES: usize = 6 * size_of::<u32>();

    /// The reply as it is sent.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let numbers = match *self {
            Self::Hello { version } => [1, version, 0, 0, 0, 0],
            Self::Started { process } => [2, process as u32, 0, 0, 0, 0],
            Self::Ended {
                process,
                status,
                cpu_microseconds: cpu,
                peak_kibibytes,
            } => {
                let (low, high) = (cpu as u32, (cpu >> 32) as u32);
                [3, process as u32, status, low, high, peak_kibibytes]
            }
            Self::NotStarted { error } => [4, 0, error as u32, 0, 0, 0],
            Self::TooLong => [5, 0, 0, 0, 0, 0],
            Self::CannotEnter { error } => [6, 0, error as u32, 0, 0, 0],
        };
        let mut bytes = [0; Self::BYTES];
        for (place, number) in bytes.chunks_exact_mut(size_of::<u32>()).zip(numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    /// The reply that these bytes are; `None` where they are none, or name a process that cannot be.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let number = |index: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| bytes[index * size_of::<u32>() + byte]);
            u32::from_ne_bytes([a, b, c, d])
        };
        let process = i32::try_from(number(1)).ok().filter(|id| *id > 0);
        let error = number(2) as i32;
        Some(match number(0) {
            1 => Self::Hello { version: number(1) },
            2 => Self::Started { process: process? },
            3 => Self::Ended {
                process: process?,
                status: number(2),
                cpu_microseconds: u64::from(number(4)) << 32 | u64::from(number(3)),
                peak_kibibytes: number(5),
            },
            4 => Self::NotStarted { error },
            5 => Self::TooLong,
            6 => Self::CannotEnter { error },
            _ => return None,
        })
    }
}

/// What a child writes at the beginning of the pid file: its process's standard output, until that is the tool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidFileEntry {
    /// The number of the call that it is for.
    pub call: u64,
    /// Its process id.
    pub process: u64,
}

impl PidFileEntry {
    /// Its length.
    pub const BYTES: usize = 2 * NUMBER_BYTES;

    /// The entry as it is written.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (call, process) = bytes.split_at_mut(NUMBER_BYTES);
        call.copy_from_slice(&self.call.to_ne_bytes());
        process.copy_from_slice(&self.process.to_ne_bytes());
        bytes
    }

    /// The entry that these bytes are.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let [call, process] = numbers(bytes).unwrap_or_default();
        Self { call, process }
    }
}

/// The numbers with which a message begins; `None` where it is shorter.
pub fn numbers<const COUNT: usize>(message: &[u8]) -> Option<[u64; COUNT]> {
    let mut numbers = [0; COUNT];
    let bytes = message.get(..COUNT * NUMBER_BYTES)?;
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(NUMBER_BYTES)) {
        *number = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_is_understood_as_it_was_meant() {
        let replies = [
            Reply::Hello { version: VERSION },
            Reply::Started { process: 77 },
            Reply::Ended {
                process: i32::MAX,
                status: 0x8b,
                cpu_microseconds: u64::MAX - 3,
                peak_kibibytes: u32::MAX,
            },
            Reply::NotStarted { error: 2 },
            Reply::TooLong,
            Reply::CannotEnter { error: 38 },
        ];
        for reply in replies {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
    }

    #[test]
    fn what_is_no_reply_is_not_taken_for_one() {
        let ended = Reply::Started { process: 1 }.encode();
        assert_eq!(Reply::decode(&ended[1..]), None);
        assert_eq!(Reply::decode(&[0; Reply::BYTES]), None);
        assert_eq!(Reply::decode(&[0xff; Reply::BYTES]), None);
        let nobody = Reply::Started { process: 0 };
        assert_eq!(Reply::decode(&nobody.encode()), None);
    }

    #[test]
    fn heads_and_entries_come_back_as_they_went() {
        let bytes = |numbers: &[u64]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_ne_bytes())
                .collect()
        };
        let call = CallHead {
            flags: call_flag::HAS_STDIN | call_flag::TELLS_START,
            limits: 1,
            arguments: 2,
            variables: WORDS_MAX as u64,
            number: u64::MAX,
        };
        assert_eq!(CallHead::decode(&bytes(&call.encode())), Some(call));
        assert!(call.has(call_flag::HAS_STDIN) && !call.has(call_flag::HAS_RULESET));
        let setup = SetupHead {
            flags: setup_flag::IS_APART,
            rights_kept: 2,
            filters: [3, 0, 5],
        };
        assert_eq!(SetupHead::decode(&bytes(&setup.encode())), Some(setup));
        assert!(setup.has(setup_flag::IS_APART) && !setup.has(setup_flag::NEEDS_USERS));
        let entry = PidFileEntry {
            call: 7,
            process: 4_194_304,
        };
        assert_eq!(PidFileEntry::decode(&entry.encode()), entry);
    }

    #[test]
    fn a_head_that_is_cut_off_or_counts_too_much_is_none() {
        let too_many = CallHead {
            variables: WORDS_MAX as u64 + 1,
            ..CallHead::default()
        };
        let bytes: Vec<u8> = too_many
            .encode()
            .iter()
            .flat_map(|number| number.to_ne_bytes())
            .collect();
        assert_eq!(CallHead::decode(&bytes), None);
        assert_eq!(CallHead::decode(&bytes[..39]), None);
        assert_eq!(SetupHead::decode(&bytes[..39]), None);
    }
}
