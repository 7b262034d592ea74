//! A library as a tool: its requests go to workers, which are this program, started again.
//!
//! `libraries.rs` opens one for each library. The library's own code runs in the workers alone; what it offers is asked here, because it runs nothing.

use std::path::Path;
use std::sync::Arc;

use super::adapter::{self, Pool, Start, protocol, protocol::Hello};
use super::library::hosting::Hosted;
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, arithmetic, worker};
use crate::base::error::Result;
use crate::image::content::Write;
use crate::image::options::Preallocation;
use crate::tool::request::{Answer, Request};

/// A library, called in workers.
struct Embedded {
    library: &'static dyn Hosted,
    hello: Hello,
    capabilities: Capabilities,
    pool: Pool,
    /// The command that starts the library as an adapter.
    adapter: Vec<String>,
}

/// Opens a library. A library that does not say itself which requests it takes is asked in a worker which methods it has.
pub(super) fn open(library: &'static dyn Hosted, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let offer = library.offer();
    let program = &tool_env.worker_program;
    let pool = Pool::new(Start {
        program: program.clone(),
        arguments: vec![worker::ARGUMENT.to_owned(), offer.name().to_owned()],
        environment: Vec::new(),
    });
    // A library that does not survive the question for its methods is asked everything, so that what it does is an answer.
    let hello = match offer.whole_hello() {
        Some(hello) => hello,
        None => pool
            .hello(tool_env.limit)
            .unwrap_or_else(|_| offer.hello(|_| true)),
    };
    let adapter = [
        &program.display().to_string(),
        worker::ADAPTER_ARGUMENT,
        offer.name(),
    ];
    Ok(Arc::new(Embedded {
        library,
        capabilities: hello.capabilities(),
        hello,
        pool,
        adapter: adapter.map(str::to_owned).to_vec(),
    }))
}

/// Returns whether a library can be asked this: by its own word, by its hello, and by its offer.
pub(super) fn support(library: &dyn Hosted, hello: &Hello, request: &Request) -> Support {
    library.own_support(request).unwrap_or_else(|| {
        let objection = hello.objection(request);
        Support::unless(objection.or_else(|| library.offer().objection(request)))
    })
}

impl Tool for Embedded {
    fn name(&self) -> &str {
        &self.hello.name
    }

    fn version(&self) -> &str {
        &self.hello.version
    }

    fn program(&self) -> Option<&Path> {
        None
    }

    fn build(&self) -> Option<&'static str> {
        Some(arithmetic::build())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        support(self.library, &self.hello, request)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let words = [self.name(), request.name(), &in_words(request)];
        let words = words.map(str::to_owned).to_vec();
        self.pool
            .ask(request, protocol::VERSION, words, call_context)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        if self.support(request) != Support::Yes {
            return None;
        }
        self.library
            .own_reproducer(request)
            .or_else(|| adapter::reproducer(self.adapter.clone(), request, protocol::VERSION))
    }
}

/// Returns the parameters of a request in words, for evidence.
fn in_words(request: &Request) -> String {
    match request {
        Request::Create { file, size } => {
            let options = file.options.iter().map(ToString::to_string);
            let options: Vec<String> = options.collect();
            format!("{} {size} [{}]", file.path, options.join(","))
        }
        Request::Convert { source, target, .. } => format!("{} to {}", source.path, target.path),
        Request::Resize {
            file,
            end_bytes,
            preallocation,
            ..
        } => {
            let mode = preallocation.map_or("none", Preallocation::name);
            format!("{} to {end_bytes} bytes, preallocation {mode}", file.path)
        }
        Request::Write { file, writes } => {
            let written = writes.iter().map(|write| {
                let Write {
                    fill,
                    offset,
                    length,
                } = write;
                format!(" {fill} at {offset} for {length}")
            });
            format!("{}{}", file.path, written.collect::<String>())
        }
        Request::WriteZeroes {
            file,
            offset,
            length,
            ..
        }
        | Request::Discard {
            file,
            offset,
            length,
        } => format!("{} at {offset} for {length}", file.path),
        _ => request.file().path.clone(),
    }
}
