//! Unit tests of `offer.rs`.

use super::*;
use crate::image::options::CreateOptions;

fn file(options: &[&str]) -> ImageFile {
    let options = CreateOptions::parse(options).expect("options of ours");
    ImageFile::new("a", Format::Qcow2).with_options(options)
}

#[test]
fn what_is_not_offered_is_not_asked() {
    let offer = Offer::new("own", "1").writes(["qcow2"]);
    let info = |options: &[&str]| Request::Info {
        file: file(options),
    };
    let encrypted = info(&["encrypt.format=luks"]);
    let objection = offer.objection(&encrypted);
    assert_eq!(objection.as_deref(), Some("own takes no encrypted images"));
    assert_eq!(offer.clone().with_encryption().objection(&encrypted), None);
    let split = info(&["data_file=d.raw"]);
    assert!(offer.objection(&split).is_some());
    assert_eq!(offer.clone().with_data_files().objection(&split), None);
    let create = Request::Create {
        file: file(&["cluster_size=4096"]),
        size: crate::base::size::Size::of_bytes(512),
    };
    let objection = offer.objection(&create);
    let said = "own cannot create qcow2 with cluster_size";
    assert_eq!(objection.as_deref(), Some(said));
    let offer = offer.create_options(["cluster_size"]);
    assert_eq!(offer.objection(&create), None);
}

#[test]
fn a_misspelt_offer_is_told() {
    let mistake = |offer: Offer| offer.mistake();
    assert_eq!(mistake(Offer::new("own", "1").reads(["qcow2"])), None);
    let format = mistake(Offer::new("own", "1").reads(["qcow3"])).unwrap();
    assert!(format.contains("'qcow3': known are raw"), "{format}");
    let request = mistake(Offer::new("own", "1").takes(&["look"], ["raw"])).unwrap();
    assert!(request.contains("'look'"), "{request}");
}
