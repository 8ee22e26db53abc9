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

mod codec;
mod variant;

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
        Data::Enum(data) => variant::variant(&input, data),
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
    let codec = codec::table_codec(&input.ident, base.first(), own);
    let reflect = table_reflect(&input.ident, &class, base.first(), own, options.summary);
    let default = struct_default(&input.ident, &class, &fields);
    let arbitrary = struct_arbitrary(&input.ident, &fields);
    Ok(quote! { #codec #reflect #default #arbitrary })
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
