//! Ways to change an input.

/// Numbers that break decoders.
const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    4,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    10_000,
    0x7fff_ffff,
    -0x8000_0000,
    0xffff_ffff,
    i64::MAX,
    i64::MIN,
];

/// Words that texts are made of.
const WORDS: &[&str] = &[
    "infinity",
    "-infinity",
    "NaN",
    "NULL",
    "epoch",
    "now",
    "BC",
    "e999999999",
    "1e-400",
    "0x",
    "\\x",
    "{",
    "}",
    "{{",
    "}}",
    "\"",
    "\\",
    ",",
    "[1:2]=",
    "[-2147483648:2147483647]=",
    "P1Y",
    "PT",
    "1 mon",
    "99999999999999999999",
    "294277-01-01",
    "4714-11-24",
    "24:00:00",
    "+15:59",
    "Europe/Berlin",
    "\0",
    "\u{1f600}",
    "true",
    "[",
    "]",
    ":",
    "null",
    "\\u0000",
    "\\ud800",
    " ",
    "00",
    "-",
    "+",
    ".",
    "1",
    "9",
];

/// The same numbers for the same seed: xorshift64*.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from 0 to `n` - 1; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % n.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Takes an input and changes it in a few places.
pub(super) fn mutate(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = inputs.get(random.below(inputs.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(5) {
        step(random, &mut input, inputs);
    }
    input
}

fn step(random: &mut Random, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    let end = at + random.below(input.len() - at + 1);
    match random.below(11) {
        0 => flip(random, input, at),
        1 => input.insert(at, random.byte()),
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        4 => {
            let part = input[at..end].to_vec();
            input.splice(at..at, part);
        }
        5 | 6 => write_number(random, input, at),
        7 | 8 => {
            let word = WORDS[random.below(WORDS.len())].bytes();
            input.splice(at..end.min(at + 8), word);
        }
        9 => {
            let other = &inputs[random.below(inputs.len())];
            let from = random.below(other.len() + 1);
            let to = from + random.below(other.len() - from + 1);
            input.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            let (byte, n) = (random.byte(), random.below(40));
            input.splice(at..at, std::iter::repeat_n(byte, n));
        }
    }
}

fn flip(random: &mut Random, input: &mut [u8], at: usize) {
    let bit = 1 << random.below(8);
    if let Some(byte) = input.get_mut(at) {
        *byte ^= bit;
    }
}

fn write_number(random: &mut Random, input: &mut [u8], at: usize) {
    let number = NUMBERS[random.below(NUMBERS.len())].to_be_bytes();
    let n_bytes = [1, 2, 4, 8][random.below(4)];
    let bytes = &number[8 - n_bytes..];
    for (byte, new) in input.iter_mut().skip(at).zip(bytes) {
        *byte = *new;
    }
}
