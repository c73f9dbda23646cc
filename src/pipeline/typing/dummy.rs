//! Placeholders for unusable values, so that the rest of a stage can still be read and checked.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::fault::Fault;

/// Gives every type a value: 1, an empty text, the first variant. The result is thrown away.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pipeline) struct Dummy {
    depth: usize,
}

impl Dummy {
    /// A limit for recursive types.
    const MAX_DEPTH: usize = 16;

    fn deeper(self) -> Result<Dummy, Fault> {
        if self.depth >= Self::MAX_DEPTH {
            return Err(Fault::new("a value is missing"));
        }
        Ok(Dummy { depth: self.depth + 1 })
    }
}

macro_rules! number {
    ($($method:ident $visit:ident $one:expr),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit($one)
        }
    )*};
}

impl<'de> Deserializer<'de> for Dummy {
    type Error = Fault;

    number! {
        deserialize_bool visit_bool false,
        deserialize_i8 visit_i8 1, deserialize_i16 visit_i16 1, deserialize_i32 visit_i32 1,
        deserialize_i64 visit_i64 1, deserialize_i128 visit_i128 1,
        deserialize_u8 visit_u8 1, deserialize_u16 visit_u16 1, deserialize_u32 visit_u32 1,
        deserialize_u64 visit_u64 1, deserialize_u128 visit_u128 1,
        deserialize_f32 visit_f32 1.0, deserialize_f64 visit_f64 1.0,
        deserialize_char visit_char 'x',
        deserialize_str visit_borrowed_str "", deserialize_string visit_borrowed_str "",
        deserialize_bytes visit_borrowed_bytes &[], deserialize_byte_buf visit_borrowed_bytes &[],
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str("")
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_none()
    }
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self.deeper()?)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Fill { dummy: self.deeper()?, fields: &[], left: 0 })
    }
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_seq(Fill { dummy: self.deeper()?, fields: &[], left: length })
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(length, visitor)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Fill { dummy: self.deeper()?, fields: &[], left: 0 })
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(Fill { dummy: self.deeper()?, fields, left: fields.len() })
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Variant {
            name: variants.first().copied().unwrap_or(""),
            dummy: self.deeper()?,
        })
    }
}

struct Fill {
    dummy: Dummy,
    fields: &'static [&'static str],
    left: usize,
}

impl<'de> SeqAccess<'de> for Fill {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.dummy).map(Some)
    }
}

impl<'de> MapAccess<'de> for Fill {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((field, rest)) = self.fields.split_first() else { return Ok(None) };
        self.fields = rest;
        seed.deserialize(BorrowedStrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(self.dummy)
    }
}

struct Variant {
    name: &'static str,
    dummy: Dummy,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Fault;
    type Variant = Variant;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant), Fault> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.dummy)
    }
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.dummy.deserialize_tuple(length, visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.dummy.deserialize_struct("", fields, visitor)
    }
}
