//! `#[derive(Wire)]`: binary codec, default value, reflection and (with the feature `arbitrary` of the deriving
//! crate) random values for 3FS messages, all from one declaration.
//!
//! On a struct:
//!
//! ```text
//! #[derive(Wire)]
//! #[wire(class = "hf3fs::meta::StatReq")]   upstream's class name
//! pub struct StatReq {
//!     #[wire(base)]                         the base class: its tables come first
//!     pub base: ReqBase,
//!     #[wire(default = 7)]                  value when the peer did not send the field
//!     pub limit: u32,
//!     #[wire(name = "_unused")]             upstream's field name where camelCase of ours is not it
//!     pub unused: u32,
//! }
//! ```
//!
//! `#[wire(summary)]` on the struct shows its `Display` to people instead of its fields. A struct without fields of
//! its own (only a base, or nothing) writes no table of its own.
//!
//! On an enum each alternative holds one value; it travels under its own name or `#[wire(name = "...")]`.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{
    Data, DeriveInput, Error, Expr, Fields, Ident, LitStr, Result, Type, parse_macro_input, spanned::Spanned,
};

/// See the crate documentation.
#[proc_macro_derive(Wire, attributes(wire))]
pub fn derive_wire(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let made = match &input.data {
        Data::Struct(data) => table(&input, &data.fields),
        Data::Enum(data) => variant(&input, data),
        Data::Union(_) => Err(Error::new(input.span(), "a union has no 3FS form")),
    };
    made.unwrap_or_else(Error::into_compile_error).into()
}

/// What `#[wire(...)]` can say, on a struct, a field or an alternative.
#[derive(Default)]
struct Options {
    base: bool,
    summary: bool,
    class: Option<LitStr>,
    name: Option<LitStr>,
    default: Option<Expr>,
}

impl Options {
    fn parse(attributes: &[syn::Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("wire")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("base") {
                    options.base = true;
                } else if meta.path.is_ident("summary") {
                    options.summary = true;
                } else if meta.path.is_ident("class") {
                    options.class = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("name") {
                    options.name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("default") {
                    options.default = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("unknown option; see the documentation of flyer-wire-derive"));
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

/// One field of a struct.
struct Field<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    /// Upstream's name.
    name: String,
    base: bool,
    default: Option<Expr>,
}

/// `chunk_size` to `chunkSize`.
fn camel_case(snake: &str) -> String {
    let mut camel = String::new();
    let mut upper = false;
    for c in snake.chars() {
        if c == '_' {
            upper = true;
        } else {
            camel.extend(if upper {
                c.to_uppercase().collect::<Vec<_>>()
            } else {
                vec![c]
            });
            upper = false;
        }
    }
    camel
}

fn named_fields(fields: &Fields) -> Result<Vec<Field<'_>>> {
    let Fields::Named(named) = fields else {
        return Err(Error::new(fields.span(), "fields of a 3FS message have names"));
    };
    let mut made = Vec::new();
    for field in &named.named {
        let options = Options::parse(&field.attrs)?;
        let ident = field.ident.as_ref().expect("named fields have names");
        let plain = ident.to_string();
        let name = options
            .name
            .map_or_else(|| camel_case(plain.trim_start_matches("r#")), |name| name.value());
        if options.base && !made.is_empty() {
            return Err(Error::new(field.span(), "the base class comes first"));
        }
        made.push(Field {
            ident,
            ty: &field.ty,
            name,
            base: options.base,
            default: options.default,
        });
    }
    Ok(made)
}

fn table(input: &DeriveInput, fields: &Fields) -> Result<Tokens> {
    let options = Options::parse(&input.attrs)?;
    let Some(class) = options.class else {
        return Err(Error::new(
            input.span(),
            "name upstream's class: #[wire(class = \"...\")]",
        ));
    };
    let fields = named_fields(fields)?;
    let (base, own) = fields.split_at(usize::from(fields.first().is_some_and(|f| f.base)));
    let codec = table_codec(&input.ident, base.first(), own);
    let reflect = table_reflect(&input.ident, &class, base.first(), own, options.summary);
    let default = struct_default(&input.ident, &class, &fields);
    let arbitrary = struct_arbitrary(&input.ident, &fields);
    Ok(quote! { #codec #reflect #default #arbitrary })
}

/// The codec of a struct: the tables of the base class, then its own.
fn table_codec(name: &Ident, base: Option<&Field<'_>>, own: &[Field<'_>]) -> Tokens {
    let base_ident: Vec<_> = base.iter().map(|f| f.ident).collect();
    let base_type: Vec<_> = base.iter().map(|f| f.ty).collect();
    let own_min = usize::from(!own.is_empty());
    let (runs, encode, decode) = (runs(name, own), table_encode(own), table_decode(own));
    let own_fixed = if own.is_empty() {
        quote! { Some(0) }
    } else {
        quote! { crate::codec::run::table(&Self::SIZES) }
    };
    let (encode_fixed, decode_fixed) = table_fixed(base, own);
    quote! {
        #runs

        impl crate::codec::Wire for #name {
            const BYTES_MIN: usize = #own_min #( + <#base_type as crate::codec::Wire>::BYTES_MIN )*;
            const FIXED: Option<usize> = {
                let fixed: Option<usize> = #own_fixed;
                #( let fixed = crate::codec::run::sum(<#base_type as crate::codec::Wire>::FIXED, fixed); )*
                fixed
            };

            #[inline]
            fn initial() -> Self {
                <Self as Default>::default()
            }

            #[inline]
            fn encode(&self, w: &mut crate::codec::Writer) {
                if let Some(size) = <Self as crate::codec::Wire>::FIXED {
                    return w.put_with(size, |slot| crate::codec::Wire::encode_fixed(self, slot));
                }
                #encode
                #( crate::codec::Wire::encode(&self.#base_ident, w); )*
            }

            #[inline]
            fn decode_from(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                if let Some(size) = <Self as crate::codec::Wire>::FIXED
                    && r.take_if(size, |bytes| crate::codec::Wire::decode_fixed(self, bytes))
                {
                    return Ok(());
                }
                #( crate::codec::Wire::decode_from(&mut self.#base_ident, r)?; )*
                #decode
                Ok(())
            }

            #[inline]
            fn encode_fixed(&self, slot: &mut [u8]) {
                #encode_fixed
            }

            #[inline]
            fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
                #decode_fixed
            }
        }
    }
}

/// What a struct knows of its runs; see `codec::run`.
fn runs(name: &Ident, own: &[Field<'_>]) -> Tokens {
    if own.is_empty() {
        return quote! {};
    }
    let count = own.len();
    let at: Vec<_> = (0..count).collect();
    let idents: Vec<_> = own.iter().map(|f| f.ident).collect();
    let types: Vec<_> = own.iter().map(|f| f.ty).collect();
    quote! {
        impl #name {
            /// Sizes of the fields of the own table.
            const SIZES: [Option<usize>; #count] = [#( <#types as crate::codec::Wire>::FIXED ),*];

            /// Writes the run that starts with field `FROM`.
            #[inline]
            fn encode_run<const FROM: usize>(&self, slot: &mut [u8]) {
                #(
                    if let Some((start, end)) = const { crate::codec::run::place(&Self::SIZES, FROM, #at) } {
                        crate::codec::Wire::encode_fixed(&self.#idents, &mut slot[start..end]);
                    }
                )*
            }

            /// Reads the run that starts with field `FROM`.
            #[inline]
            fn decode_run<const FROM: usize>(&mut self, bytes: &[u8]) -> bool {
                #(
                    if let Some((start, end)) = const { crate::codec::run::place(&Self::SIZES, FROM, #at) }
                        && !crate::codec::Wire::decode_fixed(&mut self.#idents, &bytes[start..end])
                    {
                        return false;
                    }
                )*
                true
            }

            /// Reads what is left of the own table from field `FROM` on, field by field.
            #[cold]
            fn decode_fields<const FROM: usize>(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                #(
                    if FROM <= #at {
                        if r.is_empty() {
                            return Ok(());
                        }
                        crate::codec::Wire::decode_from(&mut self.#idents, r)?;
                    }
                )*
                Ok(())
            }
        }
    }
}

fn table_encode(own: &[Field<'_>]) -> Tokens {
    if own.is_empty() {
        return quote! {};
    }
    let at = (1..own.len()).rev();
    let reversed = own[1..].iter().rev().map(|f| f.ident);
    let first = own[0].ident;
    quote! {
        let end = w.len();
        #(
            if const { crate::codec::run::bytes(&Self::SIZES, #at) > 0 } {
                let size = const { crate::codec::run::bytes(&Self::SIZES, #at) };
                w.put_with(size, |slot| self.encode_run::<#at>(slot));
            } else if const { !crate::codec::run::covers(&Self::SIZES, #at) } {
                crate::codec::Wire::encode(&self.#reversed, w);
            }
        )*
        if const { crate::codec::run::bytes(&Self::SIZES, 0) > 0 } {
            let size = const { crate::codec::run::bytes(&Self::SIZES, 0) };
            w.close_table_with(end, size, |slot| self.encode_run::<0>(slot));
        } else {
            crate::codec::Wire::encode(&self.#first, w);
            w.close_table(end);
        }
    }
}

fn table_decode(own: &[Field<'_>]) -> Tokens {
    if own.is_empty() {
        return quote! {};
    }
    let at = 0..own.len();
    let idents = own.iter().map(|f| f.ident);
    quote! {
        let rest = r.enter()?;
        'table: {
            if const { crate::codec::run::table(&Self::SIZES).is_some() } {
                self.decode_fields::<0>(r)?;
                break 'table;
            }
            #(
                if const { crate::codec::run::bytes(&Self::SIZES, #at) > 0 } {
                    let size = const { crate::codec::run::bytes(&Self::SIZES, #at) };
                    if !r.take_if(size, |bytes| self.decode_run::<#at>(bytes)) {
                        self.decode_fields::<#at>(r)?;
                        break 'table;
                    }
                } else if const { !crate::codec::run::covers(&Self::SIZES, #at) } {
                    if r.is_empty() {
                        break 'table;
                    }
                    crate::codec::Wire::decode_from(&mut self.#idents, r)?;
                }
            )*
        }
        r.leave(rest);
    }
}

/// How a struct is written and read whose tables all have a fixed size.
fn table_fixed(base: Option<&Field<'_>>, own: &[Field<'_>]) -> (Tokens, Tokens) {
    let base_ident: Vec<_> = base.iter().map(|f| f.ident).collect();
    let base_type: Vec<_> = base.iter().map(|f| f.ty).collect();
    let (own_encode, own_decode) = if own.is_empty() {
        (quote! {}, quote! { bytes.is_empty() })
    } else {
        let encode = quote! {
            let [length, slot @ ..] = slot else {
                return;
            };
            *length = slot.len().to_le_bytes()[0];
            self.encode_run::<0>(slot);
        };
        let decode = quote! {
            let [length, bytes @ ..] = bytes else {
                return false;
            };
            usize::from(*length) == bytes.len() && self.decode_run::<0>(bytes)
        };
        (encode, decode)
    };
    let encode = quote! {
        if <Self as crate::codec::Wire>::FIXED.is_none() {
            return;
        }
        #(
            let size = <#base_type as crate::codec::Wire>::FIXED.unwrap_or(0);
            let (base, slot) = slot.split_at_mut(size);
            crate::codec::Wire::encode_fixed(&self.#base_ident, base);
        )*
        let _ = &slot;
        #own_encode
    };
    let decode = quote! {
        if <Self as crate::codec::Wire>::FIXED.is_none() {
            return false;
        }
        #(
            let size = <#base_type as crate::codec::Wire>::FIXED.unwrap_or(0);
            let (base, bytes) = bytes.split_at(size);
            if !crate::codec::Wire::decode_fixed(&mut self.#base_ident, base) {
                return false;
            }
        )*
        #own_decode
    };
    (encode, decode)
}

fn table_reflect(
    name: &Ident,
    class: &LitStr,
    base: Option<&Field<'_>>,
    own: &[Field<'_>],
    summary: bool,
) -> Tokens {
    let base: Vec<_> = base.iter().map(|f| f.ident).collect();
    let idents: Vec<_> = own.iter().map(|f| f.ident).collect();
    let names: Vec<_> = own.iter().map(|f| &f.name).collect();
    let summary = if summary {
        quote! { Some(self) }
    } else {
        quote! { None }
    };
    let own_table = (!own.is_empty()).then(|| {
        quote! {
            if v.begin(crate::reflect::Shape::Table(#class)) {
                #(
                    v.field(#names);
                    crate::reflect::Reflect::reflect(&self.#idents, v);
                )*
                v.end();
            }
        }
    });
    quote! {
        impl crate::reflect::Tables for #name {
            fn reflect_tables(&self, v: &mut dyn crate::reflect::Visitor) {
                #( crate::reflect::Tables::reflect_tables(&self.#base, v); )*
                #own_table
            }
        }

        impl crate::reflect::Reflect for #name {
            fn reflect(&self, v: &mut dyn crate::reflect::Visitor) {
                if v.begin(crate::reflect::Shape::Struct(#summary)) {
                    crate::reflect::Tables::reflect_tables(self, v);
                    v.end();
                }
            }
        }
    }
}

fn struct_default(name: &Ident, class: &LitStr, fields: &[Field<'_>]) -> Tokens {
    let idents = fields.iter().map(|f| f.ident);
    let values = fields.iter().map(|f| match &f.default {
        Some(value) => quote! { #value },
        None => quote! { crate::codec::Wire::initial() },
    });
    quote! {
        impl Default for #name {
            #[inline]
            fn default() -> Self {
                Self { #( #idents: #values ),* }
            }
        }

        impl crate::codec::Message for #name {
            const CLASS: &'static str = #class;
        }
    }
}

fn struct_arbitrary(name: &Ident, fields: &[Field<'_>]) -> Tokens {
    let idents = fields.iter().map(|f| f.ident);
    quote! {
        #[cfg(feature = "arbitrary")]
        impl<'a> arbitrary::Arbitrary<'a> for #name {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok(Self { #( #idents: arbitrary::Arbitrary::arbitrary(u)? ),* })
            }
        }
    }
}

/// One alternative of a variant.
struct Alternative<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    /// The name it travels under.
    name: String,
}

impl Alternative<'_> {
    /// The name as it is written, with its length in front.
    fn tag(&self) -> proc_macro2::Literal {
        let length = u8::try_from(self.name.len()).ok().filter(|length| *length < 0x80);
        let length = length.expect("a length of one byte");
        proc_macro2::Literal::byte_string(&[&[length], self.name.as_bytes()].concat())
    }
}

fn alternatives(data: &syn::DataEnum) -> Result<Vec<Alternative<'_>>> {
    let mut made = Vec::new();
    for alternative in &data.variants {
        let options = Options::parse(&alternative.attrs)?;
        let ident = &alternative.ident;
        let field = match &alternative.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => fields.unnamed.first(),
            Fields::Unnamed(_) | Fields::Named(_) | Fields::Unit => None,
        };
        let Some(field) = field else {
            return Err(Error::new(alternative.span(), "an alternative holds one value"));
        };
        let name = options
            .name
            .map_or_else(|| ident.to_string(), |name| name.value());
        made.push(Alternative {
            ident,
            ty: &field.ty,
            name,
        });
    }
    Ok(made)
}

fn variant(input: &DeriveInput, data: &syn::DataEnum) -> Result<Tokens> {
    let alternatives = alternatives(data)?;
    let Some(first) = alternatives.first() else {
        return Err(Error::new(input.span(), "a variant has alternatives"));
    };
    let codec = variant_codec(&input.ident, first, &alternatives);
    let reflect = variant_reflect(&input.ident, &alternatives);
    let arbitrary = variant_arbitrary(&input.ident, &alternatives);
    Ok(quote! { #codec #reflect #arbitrary })
}

fn variant_codec(enum_name: &Ident, first: &Alternative<'_>, all: &[Alternative<'_>]) -> Tokens {
    let (first, first_type) = (first.ident, first.ty);
    let idents: Vec<_> = all.iter().map(|a| a.ident).collect();
    let bytes: Vec<_> = all
        .iter()
        .map(|a| proc_macro2::Literal::byte_string(a.name.as_bytes()))
        .collect();
    // Names are short: their length takes one byte.
    let tags: Vec<_> = all.iter().map(Alternative::tag).collect();
    quote! {
        impl crate::codec::Wire for #enum_name {
            const BYTES_MIN: usize = 1;

            #[inline]
            fn initial() -> Self {
                Self::#first(<#first_type as crate::codec::Wire>::initial())
            }

            #[inline]
            fn encode(&self, w: &mut crate::codec::Writer) {
                match self {
                    #( Self::#idents(value) => {
                        crate::codec::Wire::encode(value, w);
                        w.put(*#tags);
                    } )*
                }
            }

            #[inline]
            fn decode_from(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                #(
                    if r.take_if(#tags.len(), |bytes| bytes == #tags) {
                        *self = Self::#idents(crate::codec::Wire::initial());
                    } else
                )*
                {
                    // A length may be written in more bytes than it needs.
                    *self = match r.bytes()? {
                        #( #bytes => Self::#idents(crate::codec::Wire::initial()), )*
                        _ => return Err(r.error(crate::codec::DecodeErrorKind::UnknownVariant)),
                    };
                }
                match self {
                    #( Self::#idents(value) => crate::codec::Wire::decode_from(value, r), )*
                }
            }
        }

        impl Default for #enum_name {
            #[inline]
            fn default() -> Self {
                crate::codec::Wire::initial()
            }
        }
    }
}

fn variant_reflect(enum_name: &Ident, all: &[Alternative<'_>]) -> Tokens {
    let idents = all.iter().map(|a| a.ident);
    let names = all.iter().map(|a| &a.name);
    quote! {
        impl crate::reflect::Reflect for #enum_name {
            fn reflect(&self, v: &mut dyn crate::reflect::Visitor) {
                match self {
                    #( Self::#idents(value) => {
                        if v.begin(crate::reflect::Shape::Variant(#names)) {
                            crate::reflect::Reflect::reflect(value, v);
                            v.end();
                        }
                    } )*
                }
            }
        }
    }
}

fn variant_arbitrary(name: &Ident, all: &[Alternative<'_>]) -> Tokens {
    let idents = all.iter().map(|a| a.ident);
    let choices = 0..u32::try_from(all.len()).expect("few alternatives");
    let last = choices.end - 1;
    quote! {
        #[cfg(feature = "arbitrary")]
        impl<'a> arbitrary::Arbitrary<'a> for #name {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                match u.int_in_range(0..=#last)? {
                    #( #choices => Ok(Self::#idents(arbitrary::Arbitrary::arbitrary(u)?)), )*
                    _ => unreachable!("int_in_range stays in its range"),
                }
            }
        }
    }
}
