//! JSON files that show whether they are as they were written.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::digest::Digest;

/// What the first line of a sealed file begins with. The digest of all other lines follows.
const MARK: &str = "{\"seal\": \"";
const DIGITS: usize = 64;
const END: &str = "\",\n";

/// The reason why a sealed file cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("it has no seal, as files of earlier versions of `pipe`")]
    Unsealed,
    #[error("it has changed since it was written")]
    Changed,
    #[error("{0}")]
    Json(String),
}

/// Writes an object as indented JSON, with the digest of its lines in the first one.
pub fn seal(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(value)?;
    let Some(rest) = text.strip_prefix("{\n") else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "only objects are sealed"));
    };
    let rest = format!("{rest}\n");
    Ok(format!("{MARK}{}{END}{rest}", Digest::of(rest.as_bytes())).into_bytes())
}

/// Reads what [`seal`] wrote.
///
/// # Errors
///
/// Fails where a bit of the file has changed.
pub fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Broken> {
    let sealed = bytes.strip_prefix(MARK.as_bytes()).ok_or(Broken::Unsealed)?;
    let (seal, rest) = sealed.split_at_checked(DIGITS).ok_or(Broken::Changed)?;
    let rest = rest.strip_prefix(END.as_bytes()).ok_or(Broken::Changed)?;
    if Digest::of(rest).to_string().as_bytes() != seal {
        return Err(Broken::Changed);
    }
    serde_json::from_slice(bytes).map_err(|error| Broken::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_changed_bit_is_seen() -> io::Result<()> {
        let value = BTreeMap::from([("a", 1.5), ("b", 0.1)]);
        let sealed = seal(&value)?;
        let read = open::<BTreeMap<String, serde_json::Value>>(&sealed);
        assert_eq!(read.map(|map| map["b"].clone()), Ok(0.1.into()));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<serde_json::Value>(&changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open::<serde_json::Value>(&sealed[..length]).is_err(), "length {length}");
        }
        assert_eq!(open::<serde_json::Value>(b"{\"a\": 1}\n"), Err(Broken::Unsealed));
        assert!(seal(&[1]).is_err());
        Ok(())
    }
}
