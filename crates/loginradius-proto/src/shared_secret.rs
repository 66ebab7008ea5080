use std::sync::Arc;

use zeroize::Zeroizing;

use crate::secret_text::SecretText;
use crate::wire::json::JsonText;

/// The text of a secret. Clones share the memory, which is overwritten when the last of them is dropped.
#[derive(Clone)]
pub(crate) struct SharedSecret(Arc<Memory>);

enum Memory {
    /// A text of up to [`SHORT`] bytes, such as a GUID: it needs no second allocation.
    Short {
        bytes: Zeroizing<[u8; SHORT]>,
        length: u8,
    },
    Long(Zeroizing<String>),
}

/// The most with which both kinds of memory take 48 bytes.
const SHORT: usize = 46;

impl SharedSecret {
    pub(crate) fn expose(&self) -> &str {
        match &*self.0 {
            Memory::Short { bytes, length } => {
                // It is UTF-8 always: `short` copies a text.
                bytes.get(..usize::from(*length)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
            }
            Memory::Long(text) => text,
        }
    }

    /// Copies a text that is short.
    fn short(text: &str) -> Option<Self> {
        let new_length = u8::try_from(text.len()).ok().filter(|length| usize::from(*length) <= SHORT)?;
        // The text is written where it stays: a move would leave a copy behind.
        let mut memory = Arc::new(Memory::Short { bytes: Zeroizing::new([0; SHORT]), length: 0 });
        if let Some(Memory::Short { bytes, length }) = Arc::get_mut(&mut memory) {
            bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
            *length = new_length;
        }
        Some(Self(memory))
    }
}

impl From<&str> for SharedSecret {
    fn from(text: &str) -> Self {
        Self::short(text).unwrap_or_else(|| Self(Arc::new(Memory::Long(Zeroizing::new(text.to_owned())))))
    }
}

impl From<Zeroizing<String>> for SharedSecret {
    fn from(text: Zeroizing<String>) -> Self {
        if text.len() <= SHORT { Self::from(text.as_str()) } else { Self(Arc::new(Memory::Long(text))) }
    }
}

impl From<String> for SharedSecret {
    fn from(text: String) -> Self {
        Zeroizing::new(text).into()
    }
}

impl From<SecretText> for SharedSecret {
    fn from(text: SecretText) -> Self {
        text.into_zeroizing().into()
    }
}

impl From<JsonText<'_>> for SharedSecret {
    fn from(text: JsonText<'_>) -> Self {
        match text {
            JsonText::Plain(text) => text.into(),
            JsonText::Unescaped(text) => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_kept() {
        for length in 0..300 {
            let text: String = "ä1€z".chars().cycle().take(length).collect();
            let secrets = [SharedSecret::from(text.as_str()), text.clone().into(), SecretText::from(&*text).into()];
            for secret in secrets {
                assert_eq!(secret.expose(), text);
                assert_eq!(matches!(&*secret.0, Memory::Short { .. }), text.len() <= SHORT);
            }
        }
        assert_eq!(size_of::<Memory>(), 48);
    }
}
