//! Gzip ([RFC 1952]).
//!
//! [RFC 1952]: https://www.rfc-editor.org/rfc/rfc1952

use loginradius_proto::Body;

use crate::inflate::{Fault, Input, Output, inflate};

/// The bytes that begin every gzip file.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decodes all members of a gzip file.
pub(crate) fn decode(file: &[u8]) -> Result<Body, Fault> {
    let mut input = Input::new(file);
    let mut output = Output::default();
    while !input.rest().is_empty() {
        read_header(&mut input)?;
        output.begin();
        inflate(&mut input, &mut output)?;
        let (checksum, length) = (input.number::<4>()?, input.number::<4>()?);
        if checksum != crc_32(output.written()) || length as usize != output.written().len() {
            return Err(Fault::Damaged);
        }
    }
    Ok(output.into_body())
}

/// Skips the header of a member, with its optional fields.
fn read_header(input: &mut Input<'_>) -> Result<(), Fault> {
    const HEADER_CHECKSUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;
    const DEFLATE: u8 = 8;
    let header = input.rest();
    let [first, second, DEFLATE, flags, ..] = *input.bytes(10)? else {
        return Err(Fault::Damaged);
    };
    if [first, second] != MAGIC || flags & RESERVED != 0 {
        return Err(Fault::Damaged);
    }
    if flags & EXTRA != 0 {
        let length = input.number::<2>()?;
        input.bytes(length as usize)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let length = input.rest().iter().position(|&byte| byte == 0).ok_or(Fault::CutOff)?;
            input.bytes(length + 1)?;
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        let header = header.get(..header.len() - input.rest().len()).unwrap_or_default();
        if input.number::<2>()? != crc_32(header) & 0xffff {
            return Err(Fault::Damaged);
        }
    }
    Ok(())
}

/// Computes the checksum (section 8).
fn crc_32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::{Duration, Instant};

    use flate2::Compression;
    use flate2::read::MultiGzDecoder;
    use flate2::write::GzEncoder;
    use loginradius_proto::Body;
    use proptest::prelude::*;

    use super::crc_32;
    use crate::inflate::Fault;

    fn decode(file: &[u8]) -> Result<Vec<u8>, Fault> {
        super::decode(file).map(|body| body.as_bytes().to_vec())
    }

    fn encode(text: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// What flate2 makes of it.
    fn reference(file: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        MultiGzDecoder::new(file).read_to_end(&mut text).ok().map(|_| text)
    }

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            "[a-z]{1,12}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..40),
            (any::<u8>(), 1..600_usize).prop_map(|(byte, count)| vec![byte; count]),
            Just(br#"{"access_token":"b8cb84c9","token_type":"access_token"}"#.to_vec()),
        ];
        prop::collection::vec(word, 0..30).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text in texts(), level in 0..10_u32) {
            prop_assert_eq!(decode(&encode(&text, level)), Ok(text));
        }

        #[test]
        fn a_damaged_file_is_refused_or_read_as_by_others(
            text in texts(),
            level in 0..10_u32,
            at in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut file = encode(&text, level);
            let at = at.index(file.len());
            file[at] ^= 1_u8 << bit;
            prop_assert_eq!(decode(&file).ok(), reference(&file));
        }

        #[test]
        fn a_file_that_is_cut_off_is_refused(text in texts(), level in 0..10_u32, at in any::<prop::sample::Index>()) {
            let file = encode(&text, level);
            let part = &file[..at.index(file.len())];
            prop_assert_eq!(decode(part), if part.is_empty() { Ok(vec![]) } else { Err(Fault::CutOff) });
        }

        #[test]
        fn any_bytes_after_a_header_are_read_as_by_others(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let file = [HEADER, bytes.as_slice()].concat();
            prop_assert_eq!(decode(&file).ok(), reference(&file));
        }
    }

    const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const END: &[u8] = &[0; 8]; // the checksum and the length of nothing

    /// `count` bits in a row, the lowest of each first.
    fn pack(numbers: impl IntoIterator<Item = (u32, u32)>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut position = 0;
        for (number, count) in numbers {
            for bit in 0..count {
                if position % 8 == 0 {
                    bytes.push(0);
                }
                *bytes.last_mut().unwrap() |= ((number >> bit & 1) as u8) << (position % 8);
                position += 1;
            }
        }
        bytes
    }

    /// A member of gzip: this header, these bits, and the end that belongs to this text.
    fn member(header: &[u8], bits: &[(u32, u32)], text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        [header, &pack(bits.iter().copied()), &crc_32(text).to_le_bytes(), &length.to_le_bytes()].concat()
    }

    /// The beginning of a block with codes of its own: how many symbols each has, and how the lengths of their codes
    /// are written.
    fn codes(text_count: u32, distance_count: u32, lengths: &[(u32, u32)]) -> Vec<(u32, u32)> {
        const ORDER: [u32; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let length = |symbol| lengths.iter().find(|(known, _)| *known == symbol).map_or(0, |(_, length)| *length);
        let counts = [(0b101, 3), (text_count - 257, 5), (distance_count - 1, 5), (15, 4)];
        counts.into_iter().chain(ORDER.map(|symbol| (length(symbol), 3))).collect()
    }

    #[test]
    fn a_block_by_the_rules_is_read_and_any_other_is_refused() {
        const ZERO: (u32, u32) = (0, 1);
        const ONE: (u32, u32) = (1, 1);
        let zeros = |count| vec![ZERO; count];
        // Lengths are 0 or 1, each written as itself; or 0 or 2.
        let zero_or_one = |text, distance| codes(text, distance, &[(0, 1), (1, 1)]);
        let zero_or_two = codes(257, 1, &[(0, 1), (2, 1)]);
        let reversed = |code: u32, length: u32| (code.reverse_bits() >> (32 - length), length);
        let fixed = |symbols: &[(u32, u32)]| [&[(0b011, 3)], symbols, &[(0, 7)]].concat();
        let (letter, repeat_3) = (reversed(0x30 + u32::from(b'a'), 8), reversed(1, 7));
        let cases = [
            ("two letters, repeated", fixed(&[letter, letter, repeat_3, (0, 5)]), Ok("aaaaa")),
            ("repeated from before the text", fixed(&[letter, repeat_3, reversed(1, 5)]), Err(Fault::Damaged)),
            ("a length that is reserved", fixed(&[letter, reversed(0b1100_0110, 8)]), Err(Fault::Damaged)),
            ("a distance that is reserved", fixed(&[letter, repeat_3, reversed(30, 5)]), Err(Fault::Damaged)),
            ("a kind of block that is reserved", vec![(0b111, 3)], Err(Fault::Damaged)),
            ("codes of one symbol", [zero_or_one(257, 1), zeros(256), vec![ONE, ONE, ZERO]].concat(), Ok("")),
            ("no code of a distance", [zero_or_one(257, 1), zeros(256), vec![ONE, ZERO, ZERO]].concat(), Ok("")),
            ("no end", [zero_or_one(257, 1), vec![ONE, ONE], zeros(256)].concat(), Err(Fault::Damaged)),
            (
                "too many codes",
                [zero_or_one(257, 1), vec![ONE, ONE], zeros(254), vec![ONE, ONE]].concat(),
                Err(Fault::Damaged),
            ),
            ("too many distances", [zero_or_one(257, 3), zeros(256), vec![ONE; 4]].concat(), Err(Fault::Damaged)),
            ("too few codes", [zero_or_two, vec![ONE], zeros(255), vec![ONE, ZERO]].concat(), Err(Fault::Damaged)),
            ("too many lengths", codes(257, 1, &[(0, 1), (1, 1), (2, 1)]), Err(Fault::Damaged)),
            ("too few lengths", codes(257, 1, &[(0, 2), (1, 2)]), Err(Fault::Damaged)),
            ("more symbols than there are", zero_or_one(287, 1), Err(Fault::Damaged)),
            ("more distances than there are", zero_or_one(257, 31), Err(Fault::Damaged)),
            ("nothing to repeat", [codes(257, 1, &[(0, 1), (16, 1)]), vec![ONE, (0, 2)]].concat(), Err(Fault::Damaged)),
            (
                "repeated too often",
                [codes(257, 1, &[(0, 1), (18, 1)]), vec![ONE, (127, 7), ONE, (127, 7)]].concat(),
                Err(Fault::Damaged),
            ),
        ];
        for (name, bits, expected) in cases {
            let text = expected.unwrap_or_default();
            let file = member(HEADER, &bits, text.as_bytes());
            let decoded = decode(&file).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(decoded.as_deref().map_err(|&fault| fault), expected, "{name}");
        }
        // The second text is complete only with the first.
        let two = [encode(b"a", 6), member(HEADER, &fixed(&[repeat_3, (0, 5)]), b"aaa")].concat();
        assert_eq!(decode(&two).map(|_| ()), Err(Fault::Damaged));
    }

    #[test]
    fn a_header_by_the_rules_is_read_and_any_other_is_refused() {
        let with = |flags: u8, more: &[u8]| [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255], more].concat();
        let checked = with(2, b"");
        let checksum = crc_32(&checked).to_le_bytes();
        let everything = with(31, b"\x03\0abcname\0comment\0");
        let checksum_of_all = crc_32(&everything).to_le_bytes();
        let cases = [
            (with(0, b""), true),
            (with(1, b""), true),
            ([&checked, &checksum[..2]].concat(), true),
            ([&checked, &[checksum[0], !checksum[1]][..]].concat(), false),
            ([&everything, &checksum_of_all[..2]].concat(), true),
            (with(1 << 5, b""), false),
            (with(1 << 7, b""), false),
            ([&[0x1f, 0x8b, 7], &HEADER[3..]].concat(), false),
            ([&[0x1f, 0x8c], &HEADER[2..]].concat(), false),
        ];
        for (header, is_right) in cases {
            let file = [&header, &[3, 0][..], END].concat();
            let expected = if is_right { Ok(0) } else { Err(Fault::Damaged) };
            assert_eq!(decode(&file).map(|text| text.len()), expected, "{header:?}");
            assert_eq!(reference(&file).is_some(), is_right, "{header:?}");
        }
    }

    /// With miniz_oxide's tables, empty blocks would take a hundred times as long.
    #[test]
    fn bytes_that_are_no_text_cost_no_more_than_text() {
        const SIZE: usize = Body::LIMIT / 4;
        let fill = |unit: &[u8]| [HEADER, &unit.repeat(SIZE / unit.len())].concat();
        let empty_member = [HEADER, &[3, 0], END].concat();
        let named_member = [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255], &[b'n'; 30_000][..], &[0, 3, 0], END].concat();
        // 256 symbols without a code, one for the end of the block, one for a distance; and the end of the block.
        let mut dynamic = codes(257, 1, &[(1, 1), (18, 1)]);
        dynamic.extend([(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]);
        dynamic[0] = (0b100, 3); // not the last one
        let cases = [
            ("text", encode(&vec![b'a'; Body::LIMIT], 9), Ok(Body::LIMIT)),
            ("text without an end", encode(&vec![b'a'; Body::LIMIT * 16], 9), Err(Fault::TooLong)),
            ("empty blocks of the fixed code", fill(&pack([(0b010, 3), (0, 7)].repeat(4))), Err(Fault::CutOff)),
            ("empty blocks with codes of their own", fill(&pack(dynamic.repeat(8))), Err(Fault::CutOff)),
            ("empty blocks of no code", fill(&[0, 0, 0, 0xff, 0xff]), Err(Fault::CutOff)),
            ("empty members", empty_member.repeat(SIZE / empty_member.len()), Ok(0)),
            ("members with long names", named_member.repeat(SIZE / named_member.len()), Ok(0)),
            (
                "a name without end",
                [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255][..], &vec![b'n'; SIZE]].concat(),
                Err(Fault::CutOff),
            ),
        ];
        for (name, file, expected) in cases {
            let begin = Instant::now();
            let mut length = Ok(0);
            let memory = allocation_counter::measure(|| {
                length = super::decode(&file).map(|body| body.as_bytes().len());
            });
            let time = begin.elapsed();
            assert_eq!(length, expected, "{name}");
            assert!(time < Duration::from_secs(5), "{name}: {time:?}");
            // When the text outgrows its memory, there are that and its double.
            assert!(memory.bytes_max <= 3 * Body::LIMIT as u64, "{name}: {memory:?}");
        }
    }
}
