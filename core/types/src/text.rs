//! Byte strings.
//!
//! 3FS checks no character set: names, paths, host names and messages are bytes. [`Text`] holds them without a
//! check and prints them readably; [`Token`] holds a secret and never prints it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// An owned byte string, usually UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, with replacement characters where it is not UTF-8.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str_lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into_boxed_slice())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl core::borrow::Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// A bearer secret. `Debug` and `Display` never show it.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Token(Text);

impl Token {
    /// Wraps the secret.
    #[must_use]
    pub fn new(secret: Text) -> Self {
        Self(secret)
    }

    /// Whether no token is set. (How long a secret is, is nobody's business.)
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself, for the wire only.
    #[must_use]
    pub fn expose(&self) -> &Text {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SECRET TOKEN")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn token_never_prints_its_secret() {
        let token = Token::new(Text::from("AAAAAIQs8QAAAABI2wAAAACf"));
        for shown in [
            format!("{token}"),
            format!("{token:?}"),
            format!("{:?}", Some(token.clone())),
        ] {
            assert!(!shown.contains("AAAA"), "{shown}");
        }
        assert_eq!(token.expose().len(), 24);
    }

    #[test]
    fn text_prints_bytes_that_are_not_utf8() {
        let text = Text::from(&b"a\xffb\n"[..]);
        assert_eq!(format!("{text}"), "a\u{fffd}b\n");
        assert_eq!(format!("{text:?}"), "\"a\\xffb\\n\"");
    }
}
