//! The message that came last, and the call that it holds.
//!
//! Used by the zygote and the fork server, each of which has one inbox for its whole life. What a call says lies in the message itself: the
//! lists of words that a program's `main` or `execve` takes point into it. It does nothing for the call.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;

use crate::protocol::{
    CallHead, DESCRIPTORS_MAX, MESSAGE_BYTES, NUMBER_BYTES, Reply, WORDS_MAX, call_flag, numbers,
};
use crate::system::{self, Limit};

/// The descriptors that came with a message; -1 where there is none.
pub type Descriptors = [c_int; DESCRIPTORS_MAX];

/// No descriptor.
pub const NO_DESCRIPTORS: Descriptors = [-1; DESCRIPTORS_MAX];

/// A list of words as `main` takes it, ended by a null pointer.
type Words = [*mut c_char; WORDS_MAX + 1];

/// Room for one message and for the lists of its words.
pub struct Inbox {
    message: [u8; MESSAGE_BYTES],
    arguments: Words,
    variables: Words,
}

/// A call that has come in.
#[derive(Clone, Copy)]
pub struct Call<'inbox> {
    head: CallHead,
    descriptors: Descriptors,
    limits: &'inbox [u8],
    /// The program, as a path.
    pub program: &'inbox CStr,
    /// The directory to work in.
    pub directory: &'inbox CStr,
    /// The arguments, ended by a null pointer; they lie in the inbox.
    pub arguments: *mut *mut c_char,
    /// The environment variables, ended by a null pointer; they lie in the inbox.
    pub variables: *mut *mut c_char,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbox {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            message: [0; MESSAGE_BYTES],
            arguments: [null_mut(); WORDS_MAX + 1],
            variables: [null_mut(); WORDS_MAX + 1],
        }
    }

    /// The next message and its descriptors; an empty one at the end of the socket.
    pub fn receive(&mut self, socket: c_int) -> (&[u8], Descriptors) {
        let mut descriptors = NO_DESCRIPTORS;
        let received = system::receive(socket, &mut self.message, &mut descriptors);
        (&self.message[..received], descriptors)
    }

    /// The next call; one that does not fit is refused. The end of the socket is the end of this process.
    pub fn next_call(&mut self, socket: c_int) -> Call<'_> {
        loop {
            let mut descriptors = NO_DESCRIPTORS;
            let received = system::receive(socket, &mut self.message, &mut descriptors);
            if received == 0 {
                system::exit(0);
            }
            if let Some(layout) = self.lay_out(received) {
                return self.call(layout, descriptors);
            }
            descriptors.into_iter().for_each(system::close);
            if !system::send(socket, &Reply::TooLong.encode()) {
                system::exit(0);
            }
        }
    }

    /// The call that this message is; `None` where it does not fit, or is none.
    pub fn hold(&mut self, message: &[u8], descriptors: Descriptors) -> Option<Call<'_>> {
        let place = self.message.get_mut(..message.len())?;
        place.copy_from_slice(message);
        let layout = self.lay_out(message.len())?;
        Some(self.call(layout, descriptors))
    }

    /// Where the parts of the message lie, which is `received` bytes long; `None` when it is no call, or does not fit.
    fn lay_out(&self, received: usize) -> Option<Layout> {
        let message = self.message.get(..received)?;
        if received >= MESSAGE_BYTES {
            return None;
        }
        let head = CallHead::decode(message)?;
        let limits = head.limits as usize * CallHead::LIMIT_NUMBERS;
        let program = (CallHead::NUMBERS + limits) * NUMBER_BYTES;
        let directory = after(message, program)?;
        let words = after(message, directory)?;
        let mut end = words;
        for _ in 0..head.arguments + head.variables {
            end = after(message, end)?;
        }
        Some(Layout {
            head,
            program,
            directory,
            words,
            end,
        })
    }

    /// Makes the lists of words. What is lent to the caller is lent here, at once: pointers into the message hold only as long as nobody
    /// else borrows it for writing.
    fn call(&mut self, layout: Layout, descriptors: Descriptors) -> Call<'_> {
        let Layout {
            head,
            program,
            directory,
            mut words,
            end,
        } = layout;
        let first = self.message.as_mut_ptr();
        let message = &self.message[..end];
        for (list, count) in [
            (&mut self.arguments, head.arguments as usize),
            (&mut self.variables, head.variables as usize),
        ] {
            for slot in &mut list[..count] {
                *slot = first.wrapping_add(words).cast();
                words = after(message, words).unwrap_or(end);
            }
            list[count] = null_mut();
        }
        let word = |place: usize| CStr::from_bytes_until_nul(&message[place..]).unwrap_or_default();
        Call {
            head,
            descriptors,
            limits: &message[CallHead::NUMBERS * NUMBER_BYTES..program],
            program: word(program),
            directory: word(directory),
            arguments: self.arguments.as_mut_ptr(),
            variables: self.variables.as_mut_ptr(),
        }
    }
}

/// Where the parts of a call lie in its message.
#[derive(Clone, Copy)]
struct Layout {
    head: CallHead,
    program: usize,
    directory: usize,
    /// Where the first argument begins.
    words: usize,
    /// Where the last variable ends.
    end: usize,
}

/// Where the word after the one at `place` begins; `None` where that one does not end.
fn after(message: &[u8], place: usize) -> Option<usize> {
    let rest = message.get(place..)?;
    let length = rest.iter().position(|byte| *byte == 0)?;
    Some(place + length + 1)
}

impl Call<'_> {
    /// Whether one of [`call_flag`] is set.
    pub fn has(&self, flag: u64) -> bool {
        self.head.has(flag)
    }

    /// The call's own number.
    pub fn number(&self) -> u64 {
        self.head.number
    }

    /// How many arguments it has.
    pub fn count(&self) -> c_int {
        self.head.arguments as c_int
    }

    /// What the child is limited to: of which resource, and how.
    pub fn limits(&self) -> impl Iterator<Item = (usize, Limit)> {
        let limits = self
            .limits
            .chunks_exact(CallHead::LIMIT_NUMBERS * NUMBER_BYTES);
        limits.filter_map(|limit| {
            let [resource, soft, hard] = numbers(limit)?;
            Some((resource as usize, Limit { soft, hard }))
        })
    }

    /// The standard streams: input, -1 where there is nothing to read, output and error.
    pub fn streams(&self) -> [c_int; 3] {
        let [stdout, stderr, third, _] = self.descriptors;
        let stdin = if self.has(call_flag::HAS_STDIN) {
            third
        } else {
            -1
        };
        [stdin, stdout, stderr]
    }

    /// The Landlock ruleset; `None` where the child is not to enter one.
    pub fn ruleset(&self) -> Option<c_int> {
        let [.., third, fourth] = self.descriptors;
        let ruleset = if self.has(call_flag::HAS_STDIN) {
            fourth
        } else {
            third
        };
        self.has(call_flag::HAS_RULESET).then_some(ruleset)
    }

    /// Closes what came with it; for the process that has started its child.
    pub fn close(&self) {
        self.descriptors.into_iter().for_each(system::close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(head: CallHead, limits: &[u64], words: &[&str]) -> Vec<u8> {
        let numbers = head.encode().into_iter().chain(limits.iter().copied());
        let mut message: Vec<u8> = numbers.flat_map(u64::to_ne_bytes).collect();
        for word in words {
            message.extend(word.as_bytes());
            message.push(0);
        }
        message
    }

    fn head() -> CallHead {
        CallHead {
            flags: call_flag::HAS_RULESET,
            limits: 1,
            arguments: 2,
            variables: 1,
            number: 9,
        }
    }

    const WORDS: [&str; 5] = ["/bin/tool", "/scratch", "tool", "", "TZ=UTC"];

    /// The words of a list up to its null pointer.
    fn words(list: *mut *mut c_char) -> Vec<String> {
        let mut found = Vec::new();
        for index in 0.. {
            // SAFETY: a list is ended by a null pointer, and no place behind that is looked at.
            let word = unsafe { *list.wrapping_add(index) };
            if word.is_null() {
                break;
            }
            // SAFETY: a list that a call has made holds words, each ended by a zero byte, that lie in the inbox.
            let word = unsafe { CStr::from_ptr(word) };
            found.push(word.to_str().unwrap().to_owned());
        }
        found
    }

    #[test]
    fn a_call_is_laid_out_in_the_message_itself() {
        let mut inbox = Box::new(Inbox::new());
        let message = message(head(), &[7, 256, 512], &WORDS);
        let call = inbox.hold(&message, [5, 6, 8, -1]).expect("it fits");
        assert_eq!((call.program, call.directory), (c"/bin/tool", c"/scratch"));
        assert_eq!(words(call.arguments), ["tool", ""]);
        assert_eq!(words(call.variables), ["TZ=UTC"]);
        assert_eq!((call.count(), call.number()), (2, 9));
        let limits: Vec<_> = call
            .limits()
            .map(|(which, limit)| (which, limit.soft, limit.hard))
            .collect();
        assert_eq!(limits, [(7, 256, 512)]);
        assert_eq!((call.streams(), call.ruleset()), ([-1, 5, 6], Some(8)));
    }

    #[test]
    fn a_tool_may_write_into_its_arguments() {
        let mut inbox = Box::new(Inbox::new());
        let message = message(head(), &[0; 3], &WORDS);
        let call = inbox.hold(&message, NO_DESCRIPTORS).expect("it fits");
        let list = call.arguments;
        // SAFETY: the first argument is a word of five bytes; the call's own references are not used any more.
        let word = unsafe { *list };
        // SAFETY: as above.
        unsafe { word.write(b'T' as c_char) };
        // SAFETY: the list has two words and a null pointer.
        unsafe { list.swap(list.wrapping_add(1)) };
        assert_eq!(words(list), ["", "Tool"]);
    }

    #[test]
    fn a_call_of_the_next_message_has_nothing_of_the_one_before() {
        let mut inbox = Box::new(Inbox::new());
        assert!(
            inbox
                .hold(&message(head(), &[0; 3], &WORDS), NO_DESCRIPTORS)
                .is_some()
        );
        let short = message(CallHead::default(), &[], &["/bin/other", "/"]);
        let call = inbox.hold(&short, NO_DESCRIPTORS).expect("it fits");
        assert!(words(call.arguments).is_empty() && words(call.variables).is_empty());
        assert_eq!(call.program, c"/bin/other");
        assert_eq!((call.limits().count(), call.ruleset()), (0, None));
    }

    #[test]
    fn what_does_not_fit_or_is_cut_off_is_no_call() {
        let mut inbox = Box::new(Inbox::new());
        let whole = message(head(), &[0; 3], &WORDS);
        for length in [0, 8, 39, 40, 63, 64, whole.len() - 1] {
            assert!(
                inbox.hold(&whole[..length], NO_DESCRIPTORS).is_none(),
                "{length}"
            );
        }
        let counts = [
            CallHead {
                arguments: 3,
                ..head()
            },
            CallHead {
                limits: u64::MAX / 24,
                ..head()
            },
            CallHead {
                variables: WORDS_MAX as u64 + 1,
                ..head()
            },
        ];
        for head in counts {
            assert!(
                inbox
                    .hold(&message(head, &[0; 3], &WORDS), NO_DESCRIPTORS)
                    .is_none()
            );
        }
        let mut long = whole;
        long.resize(MESSAGE_BYTES, 0);
        assert!(inbox.hold(&long, NO_DESCRIPTORS).is_none());
        long.push(0);
        assert!(inbox.hold(&long, NO_DESCRIPTORS).is_none());
    }
}
