//! Unit tests of `python.rs`.

//! Golden vectors, recorded with CPython 3.11.7; each field starts from a fresh generator.

use super::*;

struct Golden {
    seed: u64,
    words: [u64; 5],
    randoms: [f64; 3],
    bits33: [u64; 3],
    bits64: [u64; 2],
    iteration_seeds: [u64; 4],
    one_to_four: [u64; 8],
    below_five: [u64; 8],
    weighted: &'static str,
    words_of_three_single_choices: u64,
}

const GOLDEN: [Golden; 5] = [
    Golden {
        seed: 0,
        words: [3626764237, 1654615998, 3255389356, 3823568514, 1806341205],
        randoms: [0.8444218515250481, 0.7579544029403025, 0.420571580830845],
        bits33: [3626764237, 7550356652, 1806341205],
        bits64: [7106521602475165645, 16422101724900707500],
        iteration_seeds: [3626764237, 1806341205, 2195908194, 2046968324],
        one_to_four: [4, 4, 1, 3, 4, 4, 3, 4],
        below_five: [3, 3, 0, 2, 4, 3, 3, 2],
        weighted: "cbbabb",
        words_of_three_single_choices: 6,
    },
    Golden {
        seed: 1,
        words: [577090037, 2444712010, 3639700191, 3445702192, 3280387012],
        randoms: [0.13436424411240122, 0.8474337369372327, 0.763774618976614],
        bits33: [4872057333, 7934667487, 3280387012],
        bits64: [10499958131665514997, 14799178230035213023],
        iteration_seeds: [3280387012, 1095513148, 1930549411, 2798570523],
        one_to_four: [2, 1, 3, 1, 4, 4, 4, 4],
        below_five: [1, 4, 0, 2, 0, 3, 3, 3],
        weighted: "acbabb",
        words_of_three_single_choices: 7,
    },
    Golden {
        seed: 42,
        words: [2746317213, 478163327, 107420369, 3184935163, 1181241943],
        randoms: [
            0.6394267984578837,
            0.025010755222666936,
            0.27502931836911926,
        ],
        bits33: [2746317213, 4402387665, 1181241943],
        bits64: [2053695854357871005, 13679192365072849617],
        iteration_seeds: [2746317213, 1181241943, 958682846, 3163119785],
        one_to_four: [1, 1, 3, 2, 2, 2, 1, 1],
        below_five: [0, 0, 2, 1, 1, 1, 0, 4],
        weighted: "baaabb",
        words_of_three_single_choices: 5,
    },
    Golden {
        seed: 59095591,
        words: [1680986605, 867025430, 2477492050, 705880251, 2467764175],
        randoms: [0.39138519169293406, 0.5768360656824003, 0.5745711208054429],
        bits33: [1680986605, 2477492050, 2467764175],
        bits64: [3723845868331323885, 3031732595414763346],
        iteration_seeds: [1680986605, 2477492050, 2467764175, 1691961916],
        one_to_four: [4, 2, 2, 4, 4, 4, 2, 2],
        below_five: [3, 1, 4, 1, 4, 3, 3, 3],
        weighted: "abbaaa",
        words_of_three_single_choices: 4,
    },
    Golden {
        seed: (1 << 32) + 5,
        words: [675479763, 2085189291, 1213270837, 3822202474, 2596110301],
        randoms: [0.15727238718789782, 0.2824866316461999, 0.6044540318498407],
        bits33: [675479763, 5508238133, 6891077597],
        bits64: [8955819811489906899, 16416234625733561141],
        iteration_seeds: [675479763, 62377729, 2696275445, 3497239160],
        one_to_four: [2, 4, 3, 1, 3, 2, 4, 3],
        below_five: [1, 3, 2, 4, 0, 2, 1, 3],
        weighted: "aababb",
        words_of_three_single_choices: 3,
    },
];

fn drawn<T, const N: usize>(seed: u64, mut draw: impl FnMut(&mut PythonRandom) -> T) -> [T; N] {
    let mut random = PythonRandom::new(seed);
    std::array::from_fn(|_| draw(&mut random))
}

#[test]
fn every_method_draws_the_same_values_as_cpython() {
    for golden in &GOLDEN {
        let seed = golden.seed;
        assert_eq!(
            drawn(seed, |random| random.getrandbits(32)),
            golden.words,
            "seed {seed}"
        );
        assert_eq!(
            drawn(seed, PythonRandom::random),
            golden.randoms,
            "seed {seed}"
        );
        assert_eq!(
            drawn(seed, |random| random.getrandbits(33)),
            golden.bits33,
            "seed {seed}"
        );
        assert_eq!(
            drawn(seed, |random| random.getrandbits(64)),
            golden.bits64,
            "seed {seed}"
        );
        assert_eq!(
            drawn(seed, |random| random.randint(0, u64::from(u32::MAX))),
            golden.iteration_seeds
        );
        assert_eq!(
            drawn(seed, |random| random.randint(1, 4)),
            golden.one_to_four,
            "seed {seed}"
        );
        assert_eq!(
            drawn(seed, |random| random.below(5)),
            golden.below_five,
            "seed {seed}"
        );
    }
}

#[test]
fn a_weighted_choice_draws_the_same_items_as_cpython() {
    for golden in &GOLDEN {
        let items = [('a', 4), ('b', 4), ('c', 1), ('d', 1)];
        let drawn: [char; 6] = drawn(golden.seed, |random| *random.weighted_choice(&items));
        assert_eq!(
            drawn.iter().collect::<String>(),
            golden.weighted,
            "seed {}",
            golden.seed
        );
    }
}

#[test]
fn a_choice_from_one_element_consumes_words_as_in_cpython() {
    for golden in &GOLDEN {
        let mut random = PythonRandom::new(golden.seed);
        for _ in 0..3 {
            random.choice(&["only"]);
        }
        assert_eq!(
            random.words_used(),
            golden.words_of_three_single_choices,
            "seed {}",
            golden.seed
        );
    }
}

#[test]
fn a_text_seeds_as_in_cpython() {
    let golden: [(&str, [u64; 3]); 4] = [
        ("20260713-plan-0", [1568932719, 1888108006, 2759166506]),
        ("20260713-fixture-0", [2460149286, 2158306542, 2286898957]),
        ("", [4124137760, 1951988028, 2557274880]),
        ("ä", [401371285, 395899643, 2265009906]),
    ];
    for (text, words) in golden {
        let mut random = PythonRandom::of_text(text);
        let drawn = std::array::from_fn(|_| random.getrandbits(32));
        assert_eq!(drawn, words, "{text}");
    }
}

#[test]
fn random_bytes_are_words_lowest_byte_first() {
    let (mut bytes, mut words) = (PythonRandom::new(42), PythonRandom::new(42));
    let mut filled = [0; 12];
    bytes.fill(&mut filled);
    assert_eq!(
        filled,
        [157, 121, 177, 163, 127, 49, 128, 28, 209, 26, 103, 6]
    );
    words.skip(3);
    assert_eq!(bytes.words_used(), words.words_used());
    assert_eq!(bytes.random(), words.random());
}
