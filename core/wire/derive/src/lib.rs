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

fn table_codec(name: &Ident, base: Option<&Field<'_>>, own: &[Field<'_>]) -> Tokens {
    let base_ident: Vec<_> = base.iter().map(|f| f.ident).collect();
    let base_type: Vec<_> = base.iter().map(|f| f.ty).collect();
    let idents: Vec<_> = own.iter().map(|f| f.ident).collect();
    let reversed: Vec<_> = own.iter().rev().map(|f| f.ident).collect();
    let (own_min, write, read) = if own.is_empty() {
        (quote! { 0 }, quote! {}, quote! {})
    } else {
        let write = quote! {
            let end = w.len();
            #( crate::codec::Wire::encode(&self.#reversed, w); )*
            w.close_table(end);
        };
        let read = quote! {
            let rest = r.enter()?;
            'table: {
                #(
                    if r.is_empty() {
                        break 'table;
                    }
                    crate::codec::Wire::decode_from(&mut self.#idents, r)?;
                )*
            }
            r.leave(rest);
        };
        (quote! { 1 }, write, read)
    };
    quote! {
        impl crate::codec::Wire for #name {
            const BYTES_MIN: usize = #own_min #( + <#base_type as crate::codec::Wire>::BYTES_MIN )*;

            fn initial() -> Self {
                <Self as Default>::default()
            }

            fn encode(&self, w: &mut crate::codec::Writer) {
                #write
                #( crate::codec::Wire::encode(&self.#base_ident, w); )*
            }

            fn decode_from(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                #( crate::codec::Wire::decode_from(&mut self.#base_ident, r)?; )*
                #read
                Ok(())
            }
        }
    }
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
        let name = options.name.map_or_else(|| ident.to_string(), |name| name.value());
        made.push(Alternative { ident, ty: &field.ty, name });
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
    let types = all.iter().map(|a| a.ty);
    let bytes: Vec<_> = all.iter().map(|a| proc_macro2::Literal::byte_string(a.name.as_bytes())).collect();
    quote! {
        impl crate::codec::Wire for #enum_name {
            const BYTES_MIN: usize = 1;

            fn initial() -> Self {
                Self::#first(<#first_type as crate::codec::Wire>::initial())
            }

            fn encode(&self, w: &mut crate::codec::Writer) {
                match self {
                    #( Self::#idents(value) => {
                        crate::codec::Wire::encode(value, w);
                        w.put_bytes(#bytes);
                    } )*
                }
            }

            fn decode_from(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                let name: &[u8] = r.bytes()?;
                #( if name == #bytes {
                    let mut value: #types = crate::codec::Wire::initial();
                    crate::codec::Wire::decode_from(&mut value, r)?;
                    *self = Self::#idents(value);
                    return Ok(());
                } )*
                Err(r.error(crate::codec::DecodeErrorKind::UnknownVariant))
            }
        }

        impl Default for #enum_name {
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
