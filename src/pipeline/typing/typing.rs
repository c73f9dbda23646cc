//! Converts a tree into a type, with a place for every problem.
//!
//! serde stops at the first error. Therefore [`typed`] records the error, replaces the faulty value
//! with a [`Dummy`] and reads again, until the rest is read or no progress is possible. Unknown
//! keys are recorded and skipped.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::dummy::Dummy;
use super::fault::{Fault, Place, one_of};
use crate::pipeline::problem::problem::Problem;
use crate::pipeline::problem::source::Span;
use crate::pipeline::problem::suggest;
use crate::pipeline::yaml::node::{Entry, Form, Map, Node, Resolved, Value, clip};

/// The names of fields or kinds, as serde passes them.
type Names = &'static [&'static str];

/// The outcome of [`typed`].
pub struct Typed<T> {
    /// The value; it contains dummies if `sound` is false. `None` if the tree is unreadable.
    pub value: Option<T>,
    /// Whether the value matches the tree.
    pub sound: bool,
}

/// Reads a type from a tree; `key` is the place for messages about missing fields.
pub(in crate::pipeline) fn typed<'a, T: Deserialize<'a>>(
    node: &'a Node,
    key: Span,
    problems: &mut Vec<Problem>,
) -> Typed<T> {
    /// The most attempts; each except the last finds one problem.
    const MAX_ATTEMPTS: usize = 100;
    let state = State::default();
    let mut value = None;
    for _ in 0..MAX_ATTEMPTS {
        let root = Reader { node, key, state: &state, mode: Mode::Value };
        match T::deserialize(root).map_err(|fault| fault.at(root.place())) {
            Ok(read) => {
                value = Some(read);
                break;
            }
            Err(fault) => {
                if !state.recover(fault) {
                    break;
                }
            }
        }
    }
    let noted = state.problems.into_inner();
    let sound = value.is_some() && noted.is_empty() && !*state.dummies.borrow();
    problems.extend(noted);
    Typed { value, sound }
}

/// The findings of earlier attempts.
#[derive(Default)]
struct State {
    problems: RefCell<Vec<Problem>>,
    /// Whether a dummy was used.
    dummies: RefCell<bool>,
    /// Nodes that are replaced by dummies.
    poisoned: RefCell<HashSet<usize>>,
    /// Missing fields of a node that get a dummy.
    missing: RefCell<HashSet<(usize, &'static str)>>,
    /// Keys reported as unknown, by the address of their value, with the keys probably meant.
    unknown: RefCell<HashMap<usize, Option<&'static str>>>,
    /// The keys that misspelt ones probably meant, by the address of their map.
    meant: RefCell<HashSet<(usize, &'static str)>>,
}

impl State {
    /// Records a fault so that the next attempt gets past it; `false` if that is impossible.
    fn recover(&self, fault: Fault) -> bool {
        let (place, missing) = (fault.place.clone(), fault.missing);
        let (message, hint) = fault.told();
        let Some(place) = place else {
            self.problems.borrow_mut().push(Problem::of_file(message).maybe_hint(hint));
            return false;
        };
        let span = match missing {
            Some(field) => {
                if !self.missing.borrow_mut().insert((place.address, field)) {
                    return false;
                }
                if self.meant.borrow().contains(&(place.address, field)) {
                    // The misspelt key was reported.
                    return true;
                }
                place.key
            }
            None => {
                if !self.poisoned.borrow_mut().insert(place.address) {
                    return false;
                }
                place.span
            }
        };
        let mut problem = Problem::at(span, message).maybe_hint(hint);
        if let (Some(from), None) = (place.from, missing) {
            problem = problem.note("the value comes from", from);
        }
        self.problems.borrow_mut().push(problem);
        true
    }

    /// Records a key that is not allowed in a map.
    fn unknown(&self, map: usize, key: &str, entry: &Entry, known: Names, hint: Option<String>) {
        let meant = suggest::nearest(key, known.iter().copied());
        let address = std::ptr::from_ref(&entry.node) as usize;
        if self.unknown.borrow_mut().insert(address, meant).is_some() {
            return;
        }
        if let Some(meant) = meant {
            self.meant.borrow_mut().insert((map, meant));
        }
        let hint = hint.or_else(|| suggest::hint(key, "known keys are", known.iter().copied()));
        let message = format!("unknown key `{}`", clip(key));
        self.problems.borrow_mut().push(Problem::at(entry.key, message).maybe_hint(hint));
    }

    fn dummy(&self) -> Dummy {
        *self.dummies.borrow_mut() = true;
        Dummy::default()
    }
}

/// A node that is read as a type.
#[derive(Clone, Copy)]
struct Reader<'a, 's> {
    node: &'a Node,
    /// The place of the node's key.
    key: Span,
    state: &'s State,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The node is the value.
    Value,
    /// The node is the content of a kind: `linear:` without a value is `linear: {}`.
    Content,
    /// The node is the name of a kind alone: `linear` is `linear: {}`.
    Bare,
}

impl<'a, 's> Reader<'a, 's> {
    fn address(self) -> usize {
        std::ptr::from_ref(self.node) as usize
    }

    fn place(self) -> Place {
        Place::of(self.node, self.key)
    }

    fn child(self, node: &'a Node, key: Span) -> Reader<'a, 's> {
        Reader { node, key, state: self.state, mode: Mode::Value }
    }

    /// Returns the dummy of this node, if it has one.
    fn stand_in(self) -> Option<Dummy> {
        let broken = matches!(self.node.value, Value::Broken);
        (broken || self.state.poisoned.borrow().contains(&self.address()))
            .then(|| self.state.dummy())
    }

    fn resolved(self) -> Option<Resolved<'a>> {
        match &self.node.value {
            _ if self.mode == Mode::Bare => Some(Resolved::Null),
            Value::Scalar(scalar) => Some(scalar.resolve()),
            _ => None,
        }
    }

    fn is_loose(self) -> bool {
        matches!(&self.node.value, Value::Scalar(scalar) if scalar.form == Form::Loose)
    }

    /// Returns the fault "expected this, found that" for the node.
    fn mismatch(self, expected: impl fmt::Display) -> Fault {
        match self.mode {
            Mode::Bare => Fault::expected(expected, "nothing"),
            _ => Fault::expected(expected, self.node.describe()),
        }
    }

    /// Returns the hint for a quoted number or truth value.
    fn unquote(self) -> Option<String> {
        let Value::Scalar(scalar) = &self.node.value else { return None };
        scalar.is_quoted_number().then(|| "remove the quotes".to_owned())
    }

    fn integer(self, least: i128, most: u128) -> Result<i128, Fault> {
        let value = match self.resolved() {
            Some(Resolved::Integer(value)) => value,
            // Beyond 2^53 a float no longer identifies a whole number.
            Some(Resolved::Float(value))
                if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 =>
            {
                value as i128
            }
            _ => return Err(self.mismatch("a whole number").hint(self.unquote())),
        };
        if value < least {
            return Err(self.mismatch(format_args!("a whole number of at least {least}")));
        }
        if u128::try_from(value).is_ok_and(|value| value > most) {
            return Err(self.mismatch(format_args!("a whole number of at most {most}")));
        }
        Ok(value)
    }

    fn float(self) -> Result<f64, Fault> {
        match self.resolved() {
            Some(Resolved::Integer(value)) => Ok(value as f64),
            Some(Resolved::Float(value)) if value.is_finite() => Ok(value),
            Some(Resolved::Float(_)) => Err(self.mismatch("a finite number")),
            _ => Err(self.mismatch("a number").hint(self.unquote())),
        }
    }

    fn text(self) -> Result<&'a str, Fault> {
        match (&self.node.value, self.resolved()) {
            (_, Some(Resolved::Text(text))) => Ok(text),
            (Value::Scalar(scalar), Some(resolved))
                if self.is_loose() && resolved != Resolved::Null =>
            {
                Ok(&scalar.text)
            }
            (Value::Scalar(scalar), Some(Resolved::Null)) if scalar.text.is_empty() => {
                Err(self.mismatch("a text"))
            }
            (Value::Scalar(scalar), Some(_)) => {
                let hint = format!("quote it: `\"{}\"`", clip(&scalar.text));
                Err(self.mismatch("a text").hint(Some(hint)).quoting())
            }
            _ => Err(self.mismatch("a text")),
        }
    }

    /// Returns the entries of a map; the content of a kind may be omitted.
    fn entries(self) -> Result<Option<&'a Map>, Fault> {
        match &self.node.value {
            _ if self.mode == Mode::Bare => Ok(None),
            Value::Map(map) => Ok(Some(map)),
            _ if self.mode == Mode::Content && self.node.is_null() => Ok(None),
            _ => Err(self.mismatch("a map")),
        }
    }

    fn items(self) -> Result<&'a [Node], Fault> {
        match &self.node.value {
            Value::List(items) if self.mode != Mode::Bare => Ok(items),
            _ => Err(self.mismatch("a list")),
        }
    }

    /// Finds the kind named by an enumeration's node, and the node of its content.
    fn variant(self, known: Names) -> Result<Variant<'a, 's>, Fault> {
        let map = match &self.node.value {
            Value::Map(map) => map,
            Value::Scalar(scalar) => {
                return match scalar.resolve() {
                    Resolved::Text(name) if known.contains(&name) => {
                        Ok(Variant { name, content: Reader { mode: Mode::Bare, ..self } })
                    }
                    Resolved::Text(name) => Err(Fault::unknown_kind(name, known).quoting()),
                    _ => Err(self.mismatch(one_of(known))),
                };
            }
            _ => return Err(self.mismatch(one_of(known))),
        };
        let mut kinds = map.iter().filter(|(key, _)| known.contains(&key.as_str()));
        let variant = match (kinds.next(), kinds.next()) {
            (Some((first, _)), Some((second, entry))) => {
                let message =
                    format!("`{first}` and `{second}` are both given; expected only one of them");
                return Err(Fault::new(message).at(Place { span: entry.key, ..self.place() }));
            }
            (Some((name, entry)), None) => Variant {
                name,
                content: Reader {
                    node: &entry.node,
                    key: entry.key,
                    state: self.state,
                    mode: Mode::Content,
                },
            },
            (None, _) => match map.first() {
                Some((name, entry)) if map.len() == 1 => {
                    return Err(Fault::unknown_kind(name, known)
                        .at(Place { span: entry.key, ..self.place() }));
                }
                Some(_) => {
                    let keys: Vec<&str> = map.keys().map(String::as_str).collect();
                    let fault = Fault::expected(
                        one_of(known),
                        format_args!("the keys {}", suggest::list(&keys)),
                    );
                    let hint = map
                        .iter()
                        .find_map(|(key, _)| suggest::nearest(key, known.iter().copied()));
                    return Err(fault.hint(hint.map(|near| format!("did you mean `{near}`?"))));
                }
                None => return Err(self.mismatch(one_of(known))),
            },
        };
        for (key, entry) in map.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let hint = format!("indent the settings of `{}` below it", variant.name);
            self.state.unknown(self.address(), key, entry, &[], Some(hint));
        }
        Ok(variant)
    }

    /// Returns access to all entries of a map; without a map there are none.
    fn all(self, map: Option<&'a Map>) -> Entries<'a, 's> {
        let entries = map.into_iter().flatten().map(|(key, entry)| (key.as_str(), Some(entry)));
        Entries { of: self, entries: entries.collect::<Vec<_>>().into_iter(), value: None }
    }

    fn read_struct<V: Visitor<'a>>(self, fields: Names, visitor: V) -> Result<V::Value, Fault> {
        let map = self.entries()?;
        let mut entries = Vec::new();
        for (key, entry) in map.into_iter().flatten() {
            if fields.contains(&key.as_str()) {
                entries.push((key.as_str(), Some(entry)));
            } else {
                self.state.unknown(self.address(), key, entry, fields, None);
            }
        }
        for field in fields {
            if self.state.missing.borrow().contains(&(self.address(), field)) {
                entries.push((field, None));
            }
        }
        visitor.visit_map(Entries { of: self, entries: entries.into_iter(), value: None })
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
            if let Some(dummy) = self.stand_in() {
                return dummy.$method(visitor);
            }
            self.integer(<$type>::MIN as i128, <$type>::MAX as u128)
                .and_then(|value| visitor.$visit(value as $type))
                .map_err(|fault| fault.at(self.place()))
        }
    )*};
}

/// Writes the methods that first look for a dummy and then add the place to a fault.
macro_rules! methods {
    ($(
        $method:ident($($argument:ident: $type:ty),*)
            = |$reader:ident, $visitor:ident| $body:expr;
    )*) => {$(
        fn $method<V: Visitor<'a>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, Fault> {
            if let Some(dummy) = self.stand_in() {
                return dummy.$method($($argument,)* visitor);
            }
            let ($reader, $visitor) = (self, visitor);
            let read = || -> Result<V::Value, Fault> { $body };
            read().map_err(|fault| fault.at(self.place()))
        }
    )*};
}

impl<'a> Deserializer<'a> for Reader<'a, '_> {
    type Error = Fault;

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    methods! {
        deserialize_any() = |reader, visitor| match &reader.node.value {
            Value::Map(map) => visitor.visit_map(reader.all(Some(map))),
            Value::List(items) => visitor.visit_seq(Items { of: reader, items: items.iter() }),
            Value::Scalar(scalar) if scalar.loss().is_some() => Err(Fault::lost(scalar)),
            _ => match reader.resolved() {
                Some(Resolved::Bool(value)) => visitor.visit_bool(value),
                Some(Resolved::Integer(value)) => {
                    match (u64::try_from(value), i64::try_from(value)) {
                        (Ok(value), _) => visitor.visit_u64(value),
                        (_, Ok(value)) => visitor.visit_i64(value),
                        _ => Err(reader.mismatch("a whole number of 64 bits")),
                    }
                }
                Some(Resolved::Float(value)) => visitor.visit_f64(value),
                Some(Resolved::Text(text)) => visitor.visit_borrowed_str(text),
                Some(Resolved::Null) | None => visitor.visit_unit(),
            },
        };
        deserialize_bool() = |reader, visitor| match reader.resolved() {
            Some(Resolved::Bool(value)) => visitor.visit_bool(value),
            Some(Resolved::Text(text)) => {
                let said =
                    matches!(text.to_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n");
                let hint = said.then(|| "in YAML 1.2 this is a text".to_owned());
                Err(reader.mismatch("`true` or `false`").hint(reader.unquote().or(hint)))
            }
            _ => Err(reader.mismatch("`true` or `false`")),
        };
        deserialize_f32() = |reader, visitor| {
            let value = reader.float()? as f32;
            if value.is_infinite() {
                return Err(reader.mismatch("a number of at most 3.4e38"));
            }
            visitor.visit_f32(value)
        };
        deserialize_f64() = |reader, visitor| visitor.visit_f64(reader.float()?);
        deserialize_char() = |reader, visitor| visitor.visit_borrowed_str(reader.text()?);
        deserialize_str() = |reader, visitor| visitor.visit_borrowed_str(reader.text()?);
        deserialize_string() = |reader, visitor| visitor.visit_borrowed_str(reader.text()?);
        deserialize_identifier() = |reader, visitor| visitor.visit_borrowed_str(reader.text()?);
        deserialize_bytes() = |reader, visitor| {
            visitor.visit_borrowed_bytes(reader.text()?.as_bytes())
        };
        deserialize_byte_buf() = |reader, visitor| reader.deserialize_bytes(visitor);
        deserialize_option() = |reader, visitor| match reader.resolved() {
            Some(Resolved::Null) => visitor.visit_none(),
            _ => visitor.visit_some(reader),
        };
        deserialize_unit() = |reader, visitor| match reader.resolved() {
            Some(Resolved::Null) => visitor.visit_unit(),
            _ => Err(reader.mismatch("nothing")),
        };
        deserialize_unit_struct(name: &'static str) = |reader, visitor| {
            let _ = name;
            reader.deserialize_unit(visitor)
        };
        deserialize_newtype_struct(name: &'static str) = |reader, visitor| {
            let _ = name;
            visitor.visit_newtype_struct(reader)
        };
        deserialize_seq() = |reader, visitor| {
            visitor.visit_seq(Items { of: reader, items: reader.items()?.iter() })
        };
        deserialize_tuple(length: usize) = |reader, visitor| {
            let items = reader.items()?;
            if items.len() != length {
                return Err(Fault::expected(format_args!("a list of {length} items"), items.len()));
            }
            visitor.visit_seq(Items { of: reader, items: items.iter() })
        };
        deserialize_tuple_struct(name: &'static str, length: usize) = |reader, visitor| {
            let _ = name;
            reader.deserialize_tuple(length, visitor)
        };
        deserialize_map() = |reader, visitor| visitor.visit_map(reader.all(reader.entries()?));
        deserialize_struct(name: &'static str, fields: Names) = |reader, visitor| {
            let _ = name;
            reader.read_struct(fields, visitor)
        };
        deserialize_enum(name: &'static str, variants: Names) = |reader, visitor| {
            let _ = name;
            visitor.visit_enum(reader.variant(variants)?)
        };
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

struct Entries<'a, 's> {
    of: Reader<'a, 's>,
    entries: std::vec::IntoIter<(&'a str, Option<&'a Entry>)>,
    value: Option<&'a Entry>,
}

impl<'a> MapAccess<'a> for Entries<'a, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.value = entry;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some).map_err(|fault: Fault| {
            match entry {
                Some(entry) => fault.at(self.of.child(&entry.node, entry.key).place()),
                None => fault,
            }
        })
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(entry) => {
                let child = self.of.child(&entry.node, entry.key);
                seed.deserialize(child).map_err(|fault| fault.at(child.place()))
            }
            None => seed.deserialize(self.of.state.dummy()),
        }
    }
}

struct Items<'a, 's> {
    of: Reader<'a, 's>,
    items: std::slice::Iter<'a, Node>,
}

impl<'a> SeqAccess<'a> for Items<'a, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let child = self.of.child(item, item.span);
        seed.deserialize(child).map(Some).map_err(|fault| fault.at(child.place()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Variant<'a, 's> {
    name: &'a str,
    content: Reader<'a, 's>,
}

impl<'a, 's> EnumAccess<'a> for Variant<'a, 's> {
    type Error = Fault;
    type Variant = Variant<'a, 's>;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name = seed
            .deserialize(BorrowedStrDeserializer::new(self.name))
            .map_err(|fault: Fault| fault.at(self.content.place()))?;
        Ok((name, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'a, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        let Variant { name, content } = self;
        let empty = match &content.node.value {
            _ if content.mode == Mode::Bare || content.stand_in().is_some() => true,
            Value::Map(map) => map.is_empty(),
            _ => content.node.is_null(),
        };
        if empty {
            return Ok(());
        }
        Err(Fault::new(format!("`{name}` has no settings, found {}", content.node.describe()))
            .hint(Some(format!("write `{name}` alone")))
            .at(content.place()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Fault> {
        let Variant { name, content } = self;
        seed.deserialize(content).map_err(|mut fault| {
            if content.mode == Mode::Bare
                && fault.missing.is_none()
                && fault.place.as_ref().is_none_or(|place| place.address == content.address())
            {
                fault.hint = Some(format!("write `{name}: VALUE`"));
            }
            fault.at(content.place())
        })
    }

    fn tuple_variant<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, fields: Names, visitor: V) -> Result<V::Value, Fault> {
        self.content.deserialize_struct("", fields, visitor)
    }
}
