use imgduel::case::CaseId;
use imgduel::generation::Generation;
#[test]
fn golden() {
    let text = std::fs::read_to_string("/work/shared/replay/replay-golden.json").unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut n = 0;
    for golden in cases.iter().filter(|c| c["generation"] == "ops7") {
        let id = CaseId {
            generation: "ops7".into(),
            seed: golden["seed"].as_u64().unwrap(),
            iteration: golden["iteration"].as_u64().unwrap(),
        };
        let case = Generation::case(&id, None).unwrap();
        assert_eq!(serde_json::to_value(&case).unwrap(), *golden);
        n += 1;
    }
    println!("{n}");
}
