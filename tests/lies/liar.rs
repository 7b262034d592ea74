//! This program as a defective qemu-img or qemu-io: called through a link of that name in a directory named after the lie. It passes calls
//! that do not trigger the lie on to the real tool on `PATH`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::catalogue::every_lie;
use crate::image::{Facts, directory_of};

/// One call of the tool.
pub struct Call {
    /// `qemu-img` or `qemu-io`.
    pub program: String,
    /// The arguments.
    pub arguments: Vec<String>,
}

/// What a lie does in a call.
pub enum Effect {
    /// Runs other arguments.
    Instead(Vec<String>),
    /// Runs this function, then the call.
    First(Box<dyn FnOnce()>),
    /// Runs the call, then this function.
    Then(Box<dyn FnOnce()>),
    /// Runs the call, then changes its output.
    Says(fn(String) -> String),
    /// Runs the call, then reports a failure.
    Refuses,
}

/// A guest range that a qemu-io command changes.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// In bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

impl Range {
    /// Returns the end of the range.
    pub fn end(self) -> u64 {
        self.offset + self.length
    }
}

impl Call {
    /// Returns whether this is the subcommand of qemu-img.
    pub fn is(&self, name: &str) -> bool {
        self.program == "qemu-img" && self.arguments.first().is_some_and(|first| first == name)
    }

    /// Returns whether one of the arguments is this word.
    pub fn says(&self, word: &str) -> bool {
        self.arguments.iter().any(|argument| argument == word)
    }

    /// Returns the path of the image: the last argument, the one before a size, or that of a snapshot.
    pub fn file(&self) -> String {
        let count = self.arguments.len();
        if self.is("snapshot") {
            let named = self
                .arguments
                .iter()
                .find_map(|word| word.split_once("file.filename="));
            let name = named.map(|(_, rest)| rest.split(',').next().unwrap_or_default());
            return name.unwrap_or_default().to_owned();
        }
        let back = match self.is("resize") || self.is("create") || self.is("bitmap") {
            true => 2,
            false => 1,
        };
        self.arguments
            .get(count.wrapping_sub(back))
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the properties of the image before the call.
    pub fn facts(&self) -> Option<Facts> {
        Facts::read_from(&self.file())
    }

    /// Returns the new size of a resize.
    pub fn new_size(&self) -> Option<u64> {
        self.is("resize")
            .then(|| self.arguments.last()?.parse().ok())
            .flatten()
    }

    /// Returns the commands of qemu-io.
    fn commands(&self) -> Vec<&String> {
        let pairs = self.arguments.windows(2);
        pairs
            .filter(|pair| self.program == "qemu-io" && pair[0] == "-c")
            .map(|pair| &pair[1])
            .collect()
    }

    /// Returns the ranges of the commands that begin with these words.
    fn ranges(&self, words: &str) -> Vec<Range> {
        let of = |command: &&String| {
            let rest = command.strip_prefix(words)?;
            let mut numbers = rest.split_whitespace().rev();
            let length = numbers.next()?.parse().ok().filter(|length| *length > 0)?;
            let offset = numbers.next()?.parse().ok()?;
            // Sessions also ask for what lies far outside.
            let is_near = u64::checked_add(offset, length).is_some_and(|end| end <= 1 << 60);
            is_near.then_some(Range { offset, length })
        };
        self.commands().iter().filter_map(of).collect()
    }

    /// Returns the written ranges.
    pub fn writes(&self) -> Vec<Range> {
        self.ranges("write -P ")
    }

    /// Returns the zeroed ranges.
    pub fn zeroes(&self) -> Vec<Range> {
        self.ranges("write -z ")
    }

    /// Returns the discarded ranges.
    pub fn discards(&self) -> Vec<Range> {
        self.ranges("discard ")
    }

    /// Returns the arguments with `from` replaced by `to`.
    pub fn with(&self, from: &str, to: &str) -> Vec<String> {
        self.arguments
            .iter()
            .map(|word| word.replace(from, to))
            .collect()
    }

    /// Returns the arguments without this one.
    pub fn without(&self, word: &str) -> Vec<String> {
        self.arguments
            .iter()
            .filter(|other| *other != word)
            .cloned()
            .collect()
    }
}

/// Acts as a tool if the program was called under the name of one.
pub fn serve_if_called() -> Option<ExitCode> {
    let mut words = std::env::args();
    let called = words.next()?;
    let program = Path::new(&called).file_name()?.to_str()?.to_owned();
    if program != "qemu-img" && program != "qemu-io" {
        return None;
    }
    let directory = directory_of(&called);
    let lie = directory.file_name()?.to_str()?.to_owned();
    let call = Call {
        program,
        arguments: words.collect(),
    };
    let lie = every_lie().find(|known| known.name == lie)?;
    Some(tell(&call, (lie.tell)(&call)))
}

/// Replaces this process by the real tool.
fn real(program: &str, arguments: &[String]) -> ExitCode {
    let error = Command::new(program).args(arguments).exec();
    eprintln!("{program}: {error}");
    ExitCode::from(127)
}

fn tell(call: &Call, effect: Option<Effect>) -> ExitCode {
    let run = |stdout: Stdio| {
        let mut command = Command::new(&call.program);
        command
            .args(&call.arguments)
            .stdout(stdout)
            .output()
            .unwrap()
    };
    let code = |status: std::process::ExitStatus| ExitCode::from(status.code().unwrap_or(1) as u8);
    match effect {
        None => real(&call.program, &call.arguments),
        Some(Effect::First(before)) => {
            before();
            real(&call.program, &call.arguments)
        }
        Some(Effect::Instead(arguments)) => real(&call.program, &arguments),
        Some(Effect::Then(after)) => {
            let output = run(Stdio::inherit());
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            if output.status.success() {
                after();
            }
            code(output.status)
        }
        Some(Effect::Says(otherwise)) => {
            let output = run(Stdio::piped());
            print!(
                "{}",
                otherwise(String::from_utf8_lossy(&output.stdout).into_owned())
            );
            code(output.status)
        }
        Some(Effect::Refuses) => {
            run(Stdio::piped());
            eprintln!("{}: Invalid argument", call.program);
            ExitCode::FAILURE
        }
    }
}
