//! What a build of qemu-img has: formats, commands, flags, options, and what some of their values need.
//!
//! Distributors leave out what they do not support, and an older release has not what came later. The program is asked itself, each
//! thing once and not before somebody needs to know, and told by name what it lacks. What it does not say is not held against it: a build
//! whose help cannot be read is asked everything. Used by qemu-img's own file; it judges no answer to a request.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::secret;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::process::{self, Ending, Invocation, SandboxPolicy};
use crate::tool::request::{ImageFile, Request};

/// The commands that are asked, as `qemu-img --help` lists them.
const COMMANDS: [&str; 15] = [
    "amend", "bench", "bitmap", "check", "commit", "compare", "convert", "create", "dd", "info",
    "map", "measure", "rebase", "resize", "snapshot",
];

/// Flags that came later than their commands.
const LATER_FLAGS: [(&str, &str); 4] = [
    ("map", "--start-offset"),
    ("map", "--max-length"),
    ("resize", "--preallocation"),
    ("resize", "--shrink"),
];

/// The create options that cases are drawn with.
const OPTIONS: [(Format, &[&str]); 8] = [
    (Format::Raw, &["preallocation"]),
    (
        Format::Qcow2,
        &[
            "backing_file",
            "backing_fmt",
            "cluster_size",
            "compat",
            "compression_type",
            "data_file",
            "data_file_raw",
            "encrypt.format",
            "extended_l2",
            "lazy_refcounts",
            "preallocation",
            "refcount_bits",
        ],
    ),
    (
        Format::Vmdk,
        &[
            "adapter_type",
            "backing_file",
            "compat6",
            "hwversion",
            "subformat",
            "toolsversion",
            "zeroed_grain",
        ],
    ),
    (Format::Vpc, &["force_size", "subformat"]),
    (
        Format::Vhdx,
        &["block_size", "block_state_zero", "log_size", "subformat"],
    ),
    (Format::Vdi, &["static"]),
    (Format::Qcow, &["backing_file", "encrypt.format"]),
    (Format::Parallels, &["cluster_size"]),
];

/// The options of a qcow2 that leave a mark in the image which a build without them cannot read (incompatible features, qcow2
/// specification), unless they have this value.
const MARKS: [(&str, &str); 3] = [
    ("compression_type", "zlib"),
    ("data_file", ""),
    ("extended_l2", "off"),
];

/// Values that a build may lack though it has their option, because they need a library. No help tells them: an image is made.
const VALUES: [(&str, &str, &[&str]); 3] = [
    ("compression_type", "zstd", &[]),
    ("encrypt.format", "aes", &["-o", secret::KEY_SECRET]),
    (
        "encrypt.format",
        "luks",
        &["-o", secret::KEY_SECRET, "-o", "encrypt.iter-time=10"],
    ),
];

/// A build, and what was heard of it.
pub(super) struct Build {
    program: PathBuf,
    limit: Duration,
    listed: OnceLock<Listed>,
    heard: Mutex<HashMap<Vec<String>, Heard>>,
}

/// What its help lists; nothing where it lists none.
struct Listed {
    commands: Option<HashSet<String>>,
    formats: Option<HashSet<String>>,
}

/// What came of a question.
#[derive(Clone)]
enum Heard {
    /// It said this and ended with success.
    Said(Arc<str>),
    /// It said no.
    Refused,
    /// Nothing that could be understood.
    Nothing,
}

impl Build {
    /// Nothing is asked yet. `limit` is for each question.
    pub(super) fn new(program: &Path, limit: Duration) -> Self {
        Self {
            program: program.to_owned(),
            limit,
            listed: OnceLock::new(),
            heard: Mutex::default(),
        }
    }

    /// What of this request it lacks, by name; `line` is its command line, empty where qemu-io does it.
    pub(super) fn lack(&self, request: &Request, line: &[String]) -> Option<String> {
        let command = line.first().map(String::as_str);
        let lacking_command = command.and_then(|command| self.lacking_command(command));
        lacking_command
            .or_else(|| {
                let mut flags = LATER_FLAGS
                    .iter()
                    .filter(|(of, flag)| command == Some(*of) && line.iter().any(|w| w == flag));
                flags.find_map(|(command, flag)| self.lacking_flag(command, flag))
            })
            .or_else(|| {
                let (read, made) = secret::images(request);
                let read = read.iter().find_map(|file| self.unreadable(file));
                read.or_else(|| made.and_then(|file| self.unmakeable(file)))
            })
            .or_else(|| match request {
                Request::Measure { target, .. } => self.lacking_format(*target),
                Request::Amend { options, .. } => {
                    let said = self.says(&["amend", "-f", "qcow2", "-o", "help"])?;
                    let missing = missing_option(&said, options.iter().map(CreateOption::name))?;
                    Some(format!("amend's option {missing}"))
                }
                Request::Rebase { mode, .. } => mode
                    .backing_format
                    .and_then(|format| self.lacking_format(format)),
                _ => None,
            })
    }

    /// Whether it has this command, where it is one of its own, and this format.
    pub(super) fn has(&self, command: Option<&str>, format: Format) -> bool {
        let lacking = command.and_then(|command| self.lacking_command(command));
        lacking.or_else(|| self.lacking_format(format)).is_none()
    }

    /// All that it lacks of what cases are drawn with, by name.
    pub(super) fn lacks(&self) -> Vec<String> {
        let commands = COMMANDS
            .iter()
            .filter_map(|name| self.lacking_command(name));
        let formats = Format::all().filter_map(|format| self.lacking_format(format));
        let flags = LATER_FLAGS
            .iter()
            .filter_map(|(command, flag)| self.lacking_flag(command, flag));
        let options = OPTIONS.iter().flat_map(|(format, options)| {
            let has_it = self.lacking_format(*format).is_none();
            let names = options.iter().filter(move |_| has_it);
            names.filter_map(|name| self.lacking_option(*format, name))
        });
        let values = VALUES.iter().filter_map(|(option, value, _)| {
            let has_it = self.lacking_option(Format::Qcow2, option).is_none();
            has_it.then(|| self.lacking_value(option, value)).flatten()
        });
        commands
            .chain(formats)
            .chain(flags)
            .chain(options)
            .chain(values)
            .collect()
    }

    /// What it lacks to read an image, or one below it.
    fn unreadable(&self, file: &ImageFile) -> Option<String> {
        self.lacking_format(file.format)
            .or_else(|| {
                let marked = MARKS.iter().find_map(|(option, without)| {
                    let value = value(file, option).filter(|_| file.format == Format::Qcow2)?;
                    let lacking = || self.lacking_option(file.format, option);
                    (value != *without).then(lacking).flatten()
                });
                marked.or_else(|| self.lacking_values(file))
            })
            .or_else(|| {
                file.backing
                    .as_deref()
                    .and_then(|below| self.unreadable(below))
            })
    }

    /// What it lacks to make an image.
    fn unmakeable(&self, file: &ImageFile) -> Option<String> {
        self.lacking_format(file.format)
            .or_else(|| {
                let mut names = file.options.iter().map(CreateOption::name);
                names.find_map(|name| self.lacking_option(file.format, name))
            })
            .or_else(|| self.lacking_values(file))
            .or_else(|| {
                file.backing
                    .as_deref()
                    .and_then(|below| self.unreadable(below))
            })
    }

    fn lacking_command(&self, command: &str) -> Option<String> {
        let is_missing = !self.listed().commands.as_ref()?.contains(command);
        is_missing.then(|| format!("the command {command}"))
    }

    fn lacking_format(&self, format: Format) -> Option<String> {
        let is_missing = !self.listed().formats.as_ref()?.contains(format.name());
        is_missing.then(|| format!("the format {format}"))
    }

    fn listed(&self) -> &Listed {
        self.listed.get_or_init(|| {
            let said = self.says(&["--help"]).unwrap_or_default();
            Listed {
                commands: commands(&said).map(|listed| listed.map(str::to_owned).collect()),
                formats: formats(&said).map(|listed| listed.map(str::to_owned).collect()),
            }
        })
    }

    fn lacking_flag(&self, command: &str, flag: &str) -> Option<String> {
        let said = self.says(&[command, "--help"])?;
        (!has_flag(&said, command, flag)?).then(|| format!("{command} {flag}"))
    }

    fn lacking_option(&self, format: Format, option: &str) -> Option<String> {
        // With the name of a file it tells those of what lies under the format as well; it does not make the file.
        let said = self.says(&["create", "-f", format.name(), "-o", "help", "image"])?;
        let missing = missing_option(&said, [option].into_iter())?;
        Some(format!("the option {missing} of {format}"))
    }

    fn lacking_values(&self, file: &ImageFile) -> Option<String> {
        let rows = VALUES.iter().filter(|_| file.format == Format::Qcow2);
        let mut wanted =
            rows.filter(|(option, wanted, _)| value(file, option).as_deref() == Some(*wanted));
        wanted.find_map(|(option, value, _)| self.lacking_value(option, value))
    }

    /// Where it makes a plain image, and refuses one with this value.
    fn lacking_value(&self, option: &str, value: &str) -> Option<String> {
        let plain = ["create", "-q", "-f", "qcow2"];
        let place = ["image", "1M"];
        let (_, _, tool_env) = VALUES
            .iter()
            .find(|row| (row.0, row.1) == (option, value))?;
        let wanted = format!("{option}={value}");
        let with = ["--object", secret::OBJECT, "-o", &wanted];
        let with = [&plain[..], &with, tool_env, &place].concat();
        let refuses = matches!(self.hear(&with), Heard::Refused);
        let makes_any = || matches!(self.hear(&[&plain[..], &place].concat()), Heard::Said(_));
        (refuses && makes_any()).then_some(wanted)
    }

    fn says(&self, arguments: &[&str]) -> Option<Arc<str>> {
        match self.hear(arguments) {
            Heard::Said(said) => Some(said),
            Heard::Refused | Heard::Nothing => None,
        }
    }

    /// Asks, the first time; the lock is held meanwhile, for whoever asks the same would have to wait for it anyway.
    fn hear(&self, arguments: &[&str]) -> Heard {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = heard.get(&arguments) {
            return known.clone();
        }
        let answer = self.asked(&arguments).unwrap_or(Heard::Nothing);
        heard.insert(arguments, answer.clone());
        answer
    }

    fn asked(&self, arguments: &[String]) -> Option<Heard> {
        let scratch = tempfile::tempdir().ok()?;
        let invocation = Invocation {
            program: &self.program,
            arguments,
            directory: scratch.path(),
            limit: self.limit,
            grace: Duration::ZERO,
            sandbox: Some(&SandboxPolicy::default()),
            environment: &[],
            memory_bytes_max: None,
        };
        let finished = process::run(&invocation).ok()?;
        Some(match finished.ending {
            Ending::Exited(0) => Heard::Said(finished.stdout.text().into()),
            Ending::Exited(_) => Heard::Refused,
            _ => Heard::Nothing,
        })
    }
}

/// The value of an option as it is spelled, if it was given.
fn value(file: &ImageFile, name: &str) -> Option<String> {
    let mut options = file.options.iter();
    let given = options.find(|option| option.name() == name)?;
    Some(given.value())
}

/// The commands that its help lists: below "Command syntax:" until 10.0, below "Recognized commands" since.
fn commands(help: &str) -> Option<impl Iterator<Item = &str>> {
    let begins = |line: &&str| {
        !["Command syntax:", "Recognized commands"]
            .iter()
            .any(|b| line.starts_with(b))
    };
    let listed = help.lines().skip_while(begins).skip(1);
    // Nothing is listed where there is no such line.
    listed.clone().next()?;
    let listed = listed.skip_while(|line| line.trim().is_empty());
    let listed = listed.take_while(|line| line.starts_with(' '));
    Some(listed.filter_map(|line| line.split_whitespace().next()))
}

/// The formats that its help lists: behind "Supported formats:" until 10.0, below "Supported image formats:" since.
fn formats(help: &str) -> Option<impl Iterator<Item = &str>> {
    let heads = ["Supported formats:", "Supported image formats:"];
    let mut found = heads.iter().filter_map(|head| help.split_once(head));
    let (_, behind) = found.next()?;
    let (listed, _) = behind.split_once("\nSee ").unwrap_or((behind, ""));
    Some(listed.split_whitespace())
}

/// Whether the help of a command tells of a flag; until 10.0 each command's help is that of all, with a line for each.
fn has_flag(help: &str, command: &str, flag: &str) -> Option<bool> {
    let told = match help.split_once("Command syntax:") {
        None if help.contains(command) => help,
        None => return None,
        Some((_, listed)) => {
            let mut lines = listed.lines();
            lines.find(|line| line.split_whitespace().next() == Some(command))?
        }
    };
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let mut words = told.split(|letter: char| !is_part(letter));
    Some(words.any(|word| word == flag))
}

/// The first of these options that a list of options does not have; none where it is no such list.
fn missing_option<'a>(list: &str, mut wanted: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (_, listed) = list.split_once(" options")?;
    let has = |wanted: &str| {
        let mut lines = listed.lines().map(str::trim);
        lines.any(|line| {
            line.strip_prefix(wanted)
                .is_some_and(|rest| rest.starts_with('='))
        })
    };
    listed
        .contains('=')
        .then(|| wanted.find(|wanted| !has(wanted)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 5.2 as Debian 11 has it, shortened.
    const OLD: &str = "qemu-img version 5.2.0 (Debian 1:5.2+dfsg-11+deb11u5)\n\nCommand syntax:\n  amend [--object objectdef] [-f fmt] filename\n  \
                       map [--object objectdef] [-f fmt] [--start-offset=offset] [-U] filename\n  resize [--shrink] filename [+ | -]size\n\nCommand \
                       parameters:\n  'filename' is a disk image filename\n  bitmap --max-length\n\nSupported formats: blkdebug qcow qcow2 raw vpc\n\nSee \
                       <https://qemu.org> for vmdk\n";

    /// Of 11.1 as Debian unstable has it, shortened.
    const NEW: &str = "QEMU disk image utility.  Usage:\n\nRecognized commands (run qemu-img COMMAND --help for command-specific help):\n\n  amend - \
                       Update format-specific options of the image\n  bitmap - Perform modifications\n\nSupported image formats:\n\n  blkdebug parallels\n  \
                       qcow2 raw\n\nSee <https://qemu.org>\n";

    #[test]
    fn formats_and_commands_are_read_from_the_help_of_old_and_new_releases() {
        let words = |found: Option<&mut dyn Iterator<Item = &str>>| -> Vec<String> {
            found.into_iter().flatten().map(str::to_owned).collect()
        };
        let of = |help| {
            (
                words(formats(help).as_mut().map(|found| found as _)),
                words(commands(help).as_mut().map(|found| found as _)),
            )
        };
        let (formats_of_old, commands_of_old) = of(OLD);
        assert_eq!(formats_of_old, ["blkdebug", "qcow", "qcow2", "raw", "vpc"]);
        assert_eq!(commands_of_old, ["amend", "map", "resize"]);
        let (formats_of_new, commands_of_new) = of(NEW);
        assert_eq!(formats_of_new, ["blkdebug", "parallels", "qcow2", "raw"]);
        assert_eq!(commands_of_new, ["amend", "bitmap"]);
        assert!(formats("qemu-img: no").is_none() && commands("qemu-img: no").is_none());
    }

    #[test]
    fn a_flag_is_searched_in_the_help_of_its_command() {
        assert_eq!(has_flag(OLD, "map", "--start-offset"), Some(true));
        assert_eq!(has_flag(OLD, "map", "--max-length"), Some(false));
        assert_eq!(has_flag(OLD, "bench", "-w"), None);
        let new = "Usage:\n  qemu-img map [-f FMT]\n        [--start-offset=OFFSET] FILE\n";
        assert_eq!(has_flag(new, "map", "--start-offset"), Some(true));
        assert_eq!(has_flag(new, "map", "--start"), Some(false));
        assert_eq!(has_flag("", "map", "--start-offset"), None);
    }

    #[test]
    fn an_option_is_missing_only_from_a_list_of_options() {
        let list = "Supported vmdk options:\n  hwversion=<str> - VMDK hardware version\n  zeroed_grain=<bool (on/off)> - as toolsversion=\n";
        let missing = |list, option| missing_option(list, [option].into_iter());
        assert_eq!(missing(list, "hwversion"), None);
        assert_eq!(missing(list, "toolsversion"), Some("toolsversion"));
        assert_eq!(missing(list, "hw"), Some("hw"));
        for no_list in ["", "Formatting 'image'", "Supported options:\n"] {
            assert_eq!(missing(no_list, "toolsversion"), None);
        }
    }
}
