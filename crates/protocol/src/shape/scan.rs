//! A cursor over JSON text that is known to be well-formed. It notes what has to be mended wherever it
//! goes: half surrogate pairs, whole numbers that are written with a fraction, line ends between tokens.

use std::borrow::Cow;

use super::mend::Mend;

/// The text is not JSON after all.
#[derive(Debug)]
pub(super) struct Malformed;

type Scan<T> = Result<T, Malformed>;

/// A number, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) whole: bool,
    pub(super) zero: bool,
}

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What has been passed since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn space(&mut self, mend: &mut Mend) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => mend.line_end(),
                _ => return,
            }
            self.at += 1;
        }
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.eat(byte) { Ok(()) } else { Err(Malformed) }
    }

    pub(super) fn literal(&mut self, word: &str) -> Scan<()> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// What is between the quotes, escapes and all.
    pub(super) fn string(&mut self, mend: &mut Mend) -> Scan<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += memchr::memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
            if self.peek() == Some(b'"') {
                let content = self.since(start);
                self.at += 1;
                return Ok(content);
            }
            self.escape(mend);
        }
    }

    fn escape(&mut self, mend: &mut Mend) {
        let start = self.at;
        let Some(unit) = self.unit(start) else {
            self.at += 2;
            return;
        };
        self.at += 6;
        if !(0xD800..0xE000).contains(&unit) {
            return;
        }
        if unit < 0xDC00 && self.unit(self.at).is_some_and(|low| (0xDC00..0xE000).contains(&low)) {
            self.at += 6;
        } else {
            mend.replace(start, 6, r"\ufffd");
        }
    }

    /// The code unit of the `\uXXXX` at this place.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(br"\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    /// A number; it leaves without the fraction that a whole one may have, as a double is printed.
    pub(super) fn number(&mut self, mend: &mut Mend) -> Scan<Number> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let digits = rest.get(..length).unwrap_or_default();
        self.at += length;
        if digits.is_empty() {
            return Err(Malformed);
        }
        let zero =
            digits.iter().take_while(|byte| !matches!(byte, b'e' | b'E')).all(|b| matches!(b, b'0' | b'-' | b'.'));
        if memchr::memchr2(b'e', b'E', digits).is_some() {
            let whole = whole_double(digits);
            if let Some(whole) = &whole {
                mend.replace_with(start, length, whole.clone());
            }
            return Ok(Number { whole: whole.is_some(), zero });
        }
        let Some(point) = memchr::memchr(b'.', digits) else { return Ok(Number { whole: true, zero }) };
        let whole = digits.get(point + 1..).unwrap_or_default().iter().all(|digit| *digit == b'0');
        if whole {
            mend.replace(start + point, length - point, "");
        }
        Ok(Number { whole, zero })
    }

    /// Any value. It costs no stack, however deep the value is.
    pub(super) fn value(&mut self, mend: &mut Mend) -> Scan<()> {
        let mut depth = 0_usize;
        loop {
            self.space(mend);
            match self.peek().ok_or(Malformed)? {
                b'"' => {
                    self.string(mend)?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(Malformed)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => {
                    self.number(mend)?;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

/// A number with an exponent as a double that is whole is printed, up to where exponents begin.
fn whole_double(digits: &[u8]) -> Option<String> {
    let number: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < 1e21).then(|| format!("{number}"))
}

/// A key or a short string as it reads.
pub(super) fn unescape(content: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', content).is_none() {
        return Cow::Borrowed(content);
    }
    let quoted = [b"\"", content, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(content), |text| Cow::Owned(text.into_bytes()))
}
