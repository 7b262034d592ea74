//! Unit tests of `worker.rs`.

use super::*;
use crate::tool::adapter::protocol::Hello;
use crate::tool::library::Offer;
use crate::tool::{Reproducer, Support};

/// Answers with the name of its thread.
struct Teller;

impl Hosted for Teller {
    fn offer(&self) -> Offer {
        Offer::new("teller", "1")
    }

    fn hello(&self) -> Hello {
        unreachable!("nobody asks")
    }

    fn answer(&self, _: &Request, _: &Path, _: Delivery) -> Response {
        let thread = format!("{:?}", thread::current().id());
        Response {
            json: Some(thread.into()),
            ..Response::default()
        }
    }

    fn own_support(&self, _: &Request) -> Option<Support> {
        None
    }

    fn own_reproducer(&self, _: &Request) -> Option<Reproducer> {
        None
    }
}

#[test]
fn every_request_has_its_own_thread_with_fresh_entropy() {
    let file = crate::tool::request::ImageFile::new("a", crate::image::format::Format::Raw);
    let request = Request::Info { file };
    let answer_again = || answer(&Teller, &request, Path::new("/"), Delivery::Inside).json;
    let own = format!("{:?}", thread::current().id());
    let (first, second) = (answer_again(), answer_again());
    assert!(first.is_some() && first != second);
    assert!(
        [first, second]
            .iter()
            .all(|thread| *thread != Some(own.clone().into()))
    );
}
