//! Values that only the store sees: write sessions and answers kept for retries. Inodes and entries are stored in their
//! wire form and need nothing of their own.
//!
//! Source: `src/meta/store/{FileSession,Idempotent}.h` upstream.

use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Text, WallTime};
use flyer_wire::codec::{DecodeError, Reader, Wire, Writer};
use flyer_wire::msg::common::ClientId;

/// Declares a struct that is stored as one table.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct $name {
            $($(#[$field_doc])* pub(super) $field: $type,)*
        }

        impl Wire for $name {
            const BYTES_MIN: usize = 1;

            fn initial() -> Self {
                Self { $($field: Wire::initial(),)* }
            }

            fn encode(&self, w: &mut Writer) {
                let end = w.len();
                tables!(@back w self $($field)*);
                w.close_table(end);
            }

            fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
                let rest = r.enter()?;
                $(if !r.is_empty() {
                    self.$field.decode_from(r)?;
                })*
                r.leave(rest);
                Ok(())
            }
        }
    )*};
    // The writer goes from back to front.
    (@back $w:ident $self:ident) => {};
    (@back $w:ident $self:ident $first:ident $($rest:ident)*) => {
        tables!(@back $w $self $($rest)*);
        $self.$first.encode($w);
    };
}

tables! {
    /// One handle opened for writing.
    FileSession {
        /// The file; [`PRUNE_INODE`](super::keys::PRUNE_INODE) for a request to drop the session.
        inode: InodeId,
        /// Who opened it.
        client: ClientId,
        /// The session.
        session: Uuid,
        /// When it was opened.
        timestamp: WallTime,
        /// Empty.
        payload: Text,
    }

    /// The answer to a request, kept for its retries.
    IdempotentRecord {
        /// Who asked.
        client: Uuid,
        /// The request.
        request: Uuid,
        /// When it was answered.
        timestamp: WallTime,
        /// The encoded `Result` of the response.
        result: Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_wire::codec;

    #[test]
    fn tables_round_trip_and_have_one_length_in_front() {
        let session = FileSession {
            inode: InodeId(0x1000),
            client: ClientId {
                uuid: Uuid([1; 16]),
                hostname: "h".into(),
            },
            session: Uuid([2; 16]),
            timestamp: WallTime::from_us(5),
            payload: Text::default(),
        };
        let bytes = codec::encode_to_vec(&session);
        // inode 8, client table 1 + 16 + 2, session 16, time 8, payload 1
        assert_eq!((bytes.len(), bytes[0]), (53, 52));
        assert_eq!(codec::decode::<FileSession>(&bytes), Ok(session));
    }
}
