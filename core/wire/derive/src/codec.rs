//! The codec of structs: one table per class, fields of fixed size moved in runs (`codec::run` of `flyer-wire`).

use crate::Field;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::Ident;

/// The codec of a struct: the tables of the base class, then its own.
pub(crate) fn table_codec(name: &Ident, base: Option<&Field<'_>>, own: &[Field<'_>]) -> Tokens {
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
