//! Deflate ([RFC 1951]), for responses that hold tokens and may come from an attacker.
//!
//! The common decoders are not fit for that. They keep the last 32 KiB of the text in a window, and do not overwrite it
//! when they free it. Which decoder a program gets depends on the features that its other crates turn on. The default
//! one rebuilds its tables for each block, so that it takes ten seconds for a megabyte of empty blocks. This one writes
//! only into the output, and its work is in proportion to its input and output.
//!
//! [RFC 1951]: https://www.rfc-editor.org/rfc/rfc1951

use std::sync::LazyLock;

use loginradius_proto::{Body, BodyBuffer};

/// Why an encoded text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    CutOff,
    Damaged,
    TooLong,
}

/// Encoded bytes that have not been read yet, and up to 7 bits of the byte before them.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    bits: u32,
    bit_count: u32,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bits: 0, bit_count: 0 }
    }

    /// Returns the bytes that have not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Takes whole bytes, and drops what is left of the current byte.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        (self.bits, self.bit_count) = (0, 0);
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Fault::CutOff)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Takes whole bytes as a number, the lowest byte first.
    pub(crate) fn number<const N: usize>(&mut self) -> Result<u32, Fault> {
        Ok(self.bytes(N)?.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// Takes up to 16 bits as a number, the lowest bit first.
    fn bits(&mut self, count: u32) -> Result<u32, Fault> {
        while self.bit_count < count {
            let (&byte, rest) = self.bytes.split_first().ok_or(Fault::CutOff)?;
            self.bytes = rest;
            self.bits |= u32::from(byte) << self.bit_count;
            self.bit_count += 8;
        }
        let taken = self.bits & ((1 << count) - 1);
        self.bits >>= count;
        self.bit_count -= count;
        Ok(taken)
    }

    fn size(&mut self, bit_count: u32) -> Result<usize, Fault> {
        self.bits(bit_count).map(|bits| bits as usize)
    }
}

/// The decoded text.
#[derive(Default)]
pub(crate) struct Output {
    body: BodyBuffer,
    /// Where the current text begins. A distance must not reach back beyond it.
    start: usize,
}

impl Output {
    /// Begins a text that does not refer to the one before it.
    pub(crate) fn begin(&mut self) {
        self.start = self.body.as_bytes().len();
    }

    /// Returns what was written since [`begin`](Self::begin).
    pub(crate) fn written(&self) -> &[u8] {
        self.body.as_bytes().get(self.start..).unwrap_or_default()
    }

    pub(crate) fn into_body(self) -> Body {
        self.body.into_body()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.body.push(bytes).map_err(|_| Fault::TooLong)
    }

    /// Copies `count` bytes from `distance` bytes back. The copy may overlap its source.
    fn repeat(&mut self, distance: usize, count: usize) -> Result<(), Fault> {
        for _ in 0..count {
            let at = self.written().len().checked_sub(distance).ok_or(Fault::Damaged)?;
            let byte = *self.written().get(at).ok_or(Fault::Damaged)?;
            self.write(&[byte])?;
        }
        Ok(())
    }
}

/// A Huffman code (section 3.2.2).
struct Code {
    /// How many symbols have a code of each length.
    counts: [u16; 16],
    /// The symbols in the order of their codes.
    symbols: [u16; 288],
}

impl Code {
    /// Makes the code from the length of each symbol's code: at most 15 bits, and 0 for a symbol without a code.
    fn new(lengths: &[u8]) -> Result<Self, Fault> {
        let mut counts = [0; 16];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        let mut unassigned = 1;
        for &count in &counts[1..] {
            unassigned = 2 * unassigned - i32::from(count);
            if unassigned < 0 {
                return Err(Fault::Damaged);
            }
        }
        // Only a code of one symbol or none may leave codes unassigned.
        if unassigned > 0 && usize::from(counts[0] + counts[1]) != lengths.len() {
            return Err(Fault::Damaged);
        }
        let mut next = [0; 16];
        for length in 1..15 {
            next[length + 1] = next[length] + usize::from(counts[length]);
        }
        let mut symbols = [0; 288];
        for (symbol, &length) in (0..).zip(lengths) {
            if length > 0 {
                let next = &mut next[usize::from(length)];
                symbols[*next] = symbol;
                *next += 1;
            }
        }
        Ok(Self { counts, symbols })
    }

    /// Takes one symbol off the input. The codes of one length are consecutive numbers, and those of the next length
    /// begin at twice the number after the last.
    fn symbol(&self, input: &mut Input<'_>) -> Result<usize, Fault> {
        let (mut code, mut first, mut before) = (0, 0, 0);
        for &count in &self.counts[1..] {
            let count = usize::from(count);
            code = 2 * code + input.size(1)?;
            if code < first + count {
                return self.symbols.get(before + code - first).map(|&symbol| symbol.into()).ok_or(Fault::Damaged);
            }
            before += count;
            first = 2 * (first + count);
        }
        Err(Fault::Damaged)
    }
}

/// The two codes of a block.
struct Codes {
    /// Bytes, the end of the block, and the lengths of repetitions.
    text: Code,
    /// How far back a repetition begins.
    distance: Code,
}

/// The fixed codes (section 3.2.6).
static FIXED: LazyLock<Result<Codes, Fault>> = LazyLock::new(|| {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    Ok(Codes { text: Code::new(&lengths)?, distance: Code::new(&[5; 32])? })
});

impl Codes {
    /// Reads the codes that a block begins with (section 3.2.7).
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let text_count = input.size(5)? + 257;
        let distance_count = input.size(5)? + 1;
        let count = input.size(4)? + 4;
        if text_count > 286 || distance_count > 30 {
            return Err(Fault::Damaged);
        }
        let mut lengths = [0; 19];
        for &symbol in ORDER.iter().take(count) {
            lengths[symbol] = input.bits(3)? as u8;
        }
        let code = Code::new(&lengths)?;

        let all = text_count + distance_count;
        let mut lengths: Vec<u8> = Vec::with_capacity(all);
        while lengths.len() < all {
            let (length, times) = match code.symbol(input)? {
                16 => (*lengths.last().ok_or(Fault::Damaged)?, 3 + input.size(2)?),
                17 => (0, 3 + input.size(3)?),
                18 => (0, 11 + input.size(7)?),
                length => (length as u8, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        let (text, distance) = lengths.split_at(text_count);
        if lengths.len() > all || text.get(END_OF_BLOCK) == Some(&0) {
            return Err(Fault::Damaged);
        }
        Ok(Self { text: Code::new(text)?, distance: Code::new(distance)? })
    }
}

const END_OF_BLOCK: usize = 256;

/// Takes a whole deflate stream off the input, and writes its text.
pub(crate) fn inflate(input: &mut Input<'_>, output: &mut Output) -> Result<(), Fault> {
    loop {
        let is_last = input.bits(1)? == 1;
        match input.bits(2)? {
            0 => {
                let (length, complement) = (input.number::<2>()?, input.number::<2>()?);
                if length ^ complement != 0xffff {
                    return Err(Fault::Damaged);
                }
                output.write(input.bytes(length as usize)?)?;
            }
            1 => inflate_block(input, output, FIXED.as_ref().map_err(|&fault| fault)?)?,
            2 => {
                let codes = Codes::read(input)?;
                inflate_block(input, output, &codes)?;
            }
            _ => return Err(Fault::Damaged),
        }
        if is_last {
            return Ok(());
        }
    }
}

fn inflate_block(input: &mut Input<'_>, output: &mut Output, codes: &Codes) -> Result<(), Fault> {
    // The base value and the number of extra bits, of the symbols from 257 on and of the distances (section 3.2.5).
    const LENGTHS: [(usize, u32); 29] = [
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (13, 1),
        (15, 1),
        (17, 1),
        (19, 2),
        (23, 2),
        (27, 2),
        (31, 2),
        (35, 3),
        (43, 3),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 4),
        (115, 4),
        (131, 5),
        (163, 5),
        (195, 5),
        (227, 5),
        (258, 0),
    ];
    const DISTANCES: [(usize, u32); 30] = [
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 1),
        (7, 1),
        (9, 2),
        (13, 2),
        (17, 3),
        (25, 3),
        (33, 4),
        (49, 4),
        (65, 5),
        (97, 5),
        (129, 6),
        (193, 6),
        (257, 7),
        (385, 7),
        (513, 8),
        (769, 8),
        (1025, 9),
        (1537, 9),
        (2049, 10),
        (3073, 10),
        (4097, 11),
        (6145, 11),
        (8193, 12),
        (12289, 12),
        (16385, 13),
        (24577, 13),
    ];
    loop {
        match codes.text.symbol(input)? {
            END_OF_BLOCK => return Ok(()),
            symbol @ 257.. => {
                let &(length, bits) = LENGTHS.get(symbol - 257).ok_or(Fault::Damaged)?;
                let length = length + input.size(bits)?;
                let &(distance, bits) = DISTANCES.get(codes.distance.symbol(input)?).ok_or(Fault::Damaged)?;
                output.repeat(distance + input.size(bits)?, length)?;
            }
            byte => output.write(&[byte as u8])?,
        }
    }
}
