//! Edits of encoded protobuf messages that leave every field they are not about as it is, known to
//! us or not.

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
#[error("it is damaged or truncated")]
pub struct Damaged;

impl From<prost::DecodeError> for Damaged {
    fn from(_: prost::DecodeError) -> Damaged {
        Damaged
    }
}

/// Wire types of the encoding: a varint, 8 bytes, a length with as many bytes, 4 bytes.
const VARINT: u64 = 0;
const EIGHT: u64 = 1;
const LENGTH: u64 = 2;
const FOUR: u64 = 5;

/// Makes a submessage's new bytes of its old ones.
pub type Edit<'a> = dyn FnMut(&[u8]) -> Result<Vec<u8>, Damaged> + 'a;

/// Returns a message in which each submessage of the field `number` is replaced by what `edit`
/// makes of it.
pub fn map(message: &[u8], number: u64, edit: &mut Edit<'_>) -> Result<Vec<u8>, Damaged> {
    let mut edited = Vec::with_capacity(message.len());
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        let key = varint(&mut rest)?;
        let size = match key & 7 {
            VARINT => {
                varint(&mut rest)?;
                0
            }
            EIGHT => 8,
            FOUR => 4,
            LENGTH => varint(&mut rest)? as usize,
            _ => return Err(Damaged),
        };
        let (content, after) = rest.split_at_checked(size).ok_or(Damaged)?;
        rest = after;
        if key == number << 3 | LENGTH {
            let content = edit(content)?;
            append(&mut edited, number, &content);
        } else {
            edited.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    Ok(edited)
}

/// Adds a submessage of the field `number` to a message.
pub fn append(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    push_varint(message, number << 3 | LENGTH);
    push_varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    Ok(prost::decode_length_delimiter(bytes)? as u64)
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::engine::onnx::proto::{GraphProto, ModelProto, NodeProto};

    #[test]
    fn unknown_fields_stay() -> Result<(), Damaged> {
        let node = |name: &str| NodeProto { name: name.into(), ..NodeProto::default() };
        let graph = GraphProto { node: vec![node("a"), node("b")], ..GraphProto::default() };
        let mut message = ModelProto { ir_version: 9, graph: Some(graph), ..ModelProto::default() }
            .encode_to_vec();
        // A varint, 8 bytes, a text and 4 bytes under numbers that the model does not have.
        let unknown = [
            b"\xa0\x06\x96\x01".as_slice(),
            b"\xa9\x06abcdefgh",
            b"\xb2\x06\x02hi",
            b"\xbd\x06wxyz",
        ]
        .concat();
        message.extend(&unknown);
        assert_eq!(map(&message, 1000, &mut |_| Ok(Vec::new()))?, message);
        let renamed = map(&message, 7, &mut |graph| {
            map(graph, 1, &mut |content| {
                let mut node = NodeProto::decode(content)?;
                node.name += " and a name that makes the whole longer than one byte can say, \
                              which is from 128 bytes up, as its length has seven bits each";
                Ok(node.encode_to_vec())
            })
        })?;
        assert!(renamed.ends_with(&unknown));
        let graph = ModelProto::decode(renamed.as_slice())?.graph.unwrap_or_default();
        assert!(graph.node.iter().all(|node| node.name.contains(" and a name")));
        assert_eq!(graph.node.len(), 2);
        Ok(())
    }

    #[test]
    fn damage_is_an_error() {
        let mut whole = Vec::new();
        append(&mut whole, 7, b"content");
        for length in 1..whole.len() {
            assert!(
                map(&whole[..length], 7, &mut |content| Ok(content.to_vec())).is_err(),
                "{length}"
            );
        }
        assert!(
            map(b"\x0b", 1, &mut |content| Ok(content.to_vec())).is_err(),
            "groups are not used"
        );
    }
}
