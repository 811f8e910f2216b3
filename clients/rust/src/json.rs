//! As much of JSON as INFO needs: a reader that never trusts what it reads.

const DEPTH_MAX: u32 = 32;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => members.iter().find(|each| each.0 == name).map(|each| &each.1),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }
}

struct Reader<'a> {
    raw: &'a [u8],
    at: usize,
}

/// The value, if that and nothing else is there.
pub(crate) fn parse(raw: &[u8]) -> Option<Value> {
    let mut reader = Reader { raw, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == raw.len()).then_some(value)
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.raw.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|each| matches!(each, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.raw[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())?;
        Some(value)
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.text().map(Value::Text),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<Value> {
        let begin = self.at;
        while self.peek().is_some_and(|each| each.is_ascii_digit() || b"+-.eE".contains(&each)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.raw[begin..self.at]).ok()?;
        text.parse::<f64>().ok()?;
        Some(Value::Number(text.to_string()))
    }

    fn text(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut raw = Vec::new();
        loop {
            let each = self.peek()?;
            self.at += 1;
            match each {
                b'"' => return String::from_utf8(raw).ok(),
                b'\\' => {
                    let escaped = self.escaped()?;
                    raw.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=31 => return None,
                _ => raw.push(each),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let each = self.peek()?;
        self.at += 1;
        Some(match each {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let first = self.hex()?;
                if (0xD800..0xDC00).contains(&first) {
                    self.take(b'\\')?;
                    self.take(b'u')?;
                    let second = self.hex()?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                    return char::from_u32(0x10000 + ((first - 0xD800) << 10) + second);
                }
                return char::from_u32(first);
            }
            b'"' | b'\\' | b'/' => char::from(each),
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.raw.get(self.at..self.at + 4).filter(|four| four.iter().all(u8::is_ascii_hexdigit))?;
        self.at += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    fn list(&mut self, depth: u32) -> Option<Value> {
        self.take(b'[')?;
        let mut found = Vec::new();
        self.space();
        if self.take(b']').is_some() {
            return Some(Value::List(found));
        }
        loop {
            found.push(self.value(depth + 1)?);
            self.space();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Value::List(found));
            }
        }
    }

    fn object(&mut self, depth: u32) -> Option<Value> {
        self.take(b'{')?;
        let mut found = Vec::new();
        self.space();
        if self.take(b'}').is_some() {
            return Some(Value::Object(found));
        }
        loop {
            self.space();
            let name = self.text()?;
            self.space();
            self.take(b':')?;
            found.push((name, self.value(depth + 1)?));
            self.space();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Value::Object(found));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, Value};

    #[test]
    fn reads_what_workers_say_and_refuses_the_rest() {
        let value = parse(br#" {"a": [1, -2.5e3, true, null], "b\u00e9\ud83d\ude00": "x\"\\\n", "c": {}} "#).unwrap();
        assert_eq!(value.get("b\u{e9}\u{1f600}").and_then(Value::text), Some("x\"\\\n"));
        assert_eq!(
            value.get("a"),
            Some(&Value::List(vec![Value::Number("1".into()), Value::Number("-2.5e3".into()), Value::Bool(true), Value::Null]))
        );
        assert_eq!(value.get("c"), Some(&Value::Object(vec![])));
        let deep = "[".repeat(100) + &"]".repeat(100);
        for bad in ["", "{", "[1,]", "{\"a\"}", "{\"a\":}", "nul", "1 2", "\"\\x\"", "\"\\ud800\"", "\"\\u12g4\"", "\"\n\"", "--1", &deep] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(parse(b"\"\xff\"").is_none());
    }
}
