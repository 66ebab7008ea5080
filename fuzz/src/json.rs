//! A reader of JSON that is independent of serde.

/// JSON by RFC 8259, as it is spelled.
#[derive(Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    /// None if it has half a surrogate pair.
    Text(Option<String>),
    List(Vec<Json>),
    Object(Vec<(Option<String>, Json)>),
}

pub type Members = Vec<(String, Json)>;

impl Json {
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { text.as_deref() } else { None }
    }

    pub fn texts(&self) -> Option<Vec<&str>> {
        if let Self::List(list) = self { list.iter().map(Self::text).collect() } else { Some(vec![self.text()?]) }
    }
}

/// Returns the member of that name.
pub fn find<'a>(members: &'a Members, name: &str) -> Option<&'a Json> {
    members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
}

/// Reads a text that is one value.
pub fn value(text: &[u8]) -> Option<Json> {
    let mut reader = Reader(std::str::from_utf8(text).ok()?);
    let value = reader.value()?;
    reader.0.is_empty().then_some(value)
}

/// Returns the members of a text that is one object, each name once.
pub fn object(text: &[u8]) -> Option<Members> {
    let Json::Object(members) = value(text)? else { return None };
    let members: Members = members.into_iter().map(|(name, value)| Some((name?, value))).collect::<Option<_>>()?;
    let twice = |at: usize| members[..at].iter().any(|(name, _)| *name == members[at].0);
    (!(0..members.len()).any(twice)).then_some(members)
}

/// The text that is still to be read.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    /// Reads the next value, with the white space around it.
    fn value(&mut self) -> Option<Json> {
        self.space();
        let value = match self.0.bytes().next()? {
            b'{' => Json::Object(self.several('}', |reader| {
                reader.space();
                let name = reader.text()?;
                reader.space();
                reader.eat(":")?;
                Some((name, reader.value()?))
            })?),
            b'[' => Json::List(self.several(']', Self::value)?),
            b'"' => Json::Text(self.text()?),
            b'n' => self.eat("null").map(|()| Json::Null)?,
            b't' => self.eat("true").map(|()| Json::Bool(true))?,
            b'f' => self.eat("false").map(|()| Json::Bool(false))?,
            _ => Json::Number(self.number()?),
        };
        self.space();
        Some(value)
    }

    /// Reads what stands between two brackets, with commas.
    fn several<T>(&mut self, end: char, element: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.0 = &self.0[1..];
        let mut elements = Vec::new();
        self.space();
        while !self.0.starts_with(end) {
            if !elements.is_empty() {
                self.eat(",")?;
            }
            elements.push(element(self)?);
        }
        self.0 = &self.0[1..];
        Some(elements)
    }

    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn eat(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    fn number(&mut self) -> Option<String> {
        let whole = self.0;
        let _ = self.eat("-");
        if self.eat("0").is_none() {
            self.digits()?;
        }
        if self.eat(".").is_some() {
            self.digits()?;
        }
        if self.0.starts_with(['e', 'E']) {
            self.0 = &self.0[1..];
            if self.0.starts_with(['+', '-']) {
                self.0 = &self.0[1..];
            }
            self.digits()?;
        }
        Some(whole[..whole.len() - self.0.len()].to_owned())
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.0.trim_start_matches(|digit: char| digit.is_ascii_digit());
        if rest.len() == self.0.len() {
            return None;
        }
        self.0 = rest;
        Some(())
    }

    fn text(&mut self) -> Option<Option<String>> {
        self.eat("\"")?;
        // UTF-16, as the escapes are.
        let mut units = Vec::new();
        loop {
            let character = self.0.chars().next()?;
            self.0 = &self.0[character.len_utf8()..];
            match character {
                '"' => return Some(String::from_utf16(&units).ok()),
                '\0'..='\x1f' => return None,
                '\\' => {
                    let escape = self.0.chars().next()?;
                    self.0 = &self.0[escape.len_utf8()..];
                    units.push(match escape {
                        'b' => 8,
                        't' => 9,
                        'n' => 10,
                        'f' => 12,
                        'r' => 13,
                        '"' | '\\' | '/' => escape as u16,
                        'u' => {
                            let digits =
                                self.0.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                            self.0 = &self.0[4..];
                            u16::from_str_radix(digits, 16).ok()?
                        }
                        _ => return None,
                    });
                }
                _ => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
            }
        }
    }
}
