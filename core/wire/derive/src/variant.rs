//! Enums: alternatives that travel under their names.

use crate::Options;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{DeriveInput, Error, Fields, Ident, Result, Type};

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

pub(crate) fn variant(input: &DeriveInput, data: &syn::DataEnum) -> Result<Tokens> {
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
