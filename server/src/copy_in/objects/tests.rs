use super::*;

/// What comes out where the input comes in pieces of a size, and the lines before each chunk.
fn cut(text: &str, n_bytes_piece: usize, n_bytes_chunk: usize) -> Vec<(String, u64)> {
    let mut chunker = ObjectChunker::new(n_bytes_chunk);
    let pieces = text.as_bytes().chunks(n_bytes_piece);
    let mut chunks: Vec<Chunk> = pieces.filter_map(|piece| chunker.push(piece)).collect();
    chunks.extend(chunker.finish());
    let shown = |chunk: &Chunk| String::from_utf8_lossy(&chunk.bytes).into_owned();
    chunks.iter().map(|chunk| (shown(chunk), chunk.n_lines_before)).collect()
}

#[test]
fn chunks_hold_whole_objects() {
    let cases = [
        ("{\"a\":1}\n{\"a\":2}\n", vec![("{\"a\":1}\n", 0), ("{\"a\":2}\n", 1)]),
        ("{\"a\":\n1}\n{\"a\":2}", vec![("{\"a\":\n1}\n", 0), ("{\"a\":2}", 2)]),
        // Braces and quotes inside of strings say nothing.
        ("{\"\\\"\":1}\n{\"}\":2}\n", vec![("{\"\\\"\":1}\n", 0), ("{\"}\":2}\n", 1)]),
        // A broken line takes no other one with it.
        ("{\"a\":\"x\n{\"a\":2}\n", vec![("{\"a\":\"x\n", 0), ("{\"a\":2}\n", 1)]),
        ("{\"a\":[1\n{\"a\":2}\n", vec![("{\"a\":[1\n", 0), ("{\"a\":2}\n", 1)]),
    ];
    for (text, expected) in cases {
        let expected: Vec<(String, u64)> =
            expected.into_iter().map(|(text, n)| (text.to_owned(), n)).collect();
        assert_eq!(cut(text, 1, 8), expected, "{text}");
    }
}

#[test]
fn arrays_are_opened() {
    let cases = [
        ("[{\"a\":1},{\"a\":[2,3]}]", " {\"a\":1} {\"a\":[2,3]} "),
        ("\u{feff} [\n{\"a\":\"],\"},\n{\"a\":2}\n]\n", "    \n{\"a\":\"],\"} \n{\"a\":2}\n \n"),
        ("\u{feff}{\"a\":[1]}\n", "   {\"a\":[1]}\n"),
        // Cut off: the reader has to find something that is wrong.
        ("[{\"a\":1}", " {\"a\":1}["),
        ("", ""),
    ];
    for (text, expected) in cases {
        for (n_bytes_piece, n_bytes_chunk) in [(1, 1), (1, 1000), (3, 4), (1000, 1000)] {
            let chunks = cut(text, n_bytes_piece, n_bytes_chunk);
            let all: String = chunks.into_iter().map(|(text, _)| text).collect();
            assert_eq!(all.replace(' ', ""), expected.replace(' ', ""), "{text}");
        }
    }
}
