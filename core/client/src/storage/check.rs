//! The invariants between the tables of storage I/O.
//!
//! Owner: [`StorageIo`].

use super::part::Stage;
use super::{Key, StorageIo, limits_fixed};

impl<O> StorageIo<O> {
    pub(super) fn check_ops(&self) {
        let claims = self.ops.iter().filter(|(_, op)| op.ticket.is_some()).count();
        assert!(claims == self.order.len(), "{claims} operations hold claims");
        for (id, op) in self.ops.iter() {
            assert!(
                op.parts.len() <= limits_fixed::OP_PARTS_MAX,
                "an operation has too many parts"
            );
            let waits = self.deadlines.get(Key::Op(id.slot, id.generation)).is_some();
            assert!(
                waits == op.parts.is_empty(),
                "{id:?} has {} parts, and waits for its chunks: {waits}",
                op.parts.len()
            );
            for part in &op.parts {
                let part = self.parts.get(*part);
                assert!(
                    part.is_some_and(|part| part.op == id),
                    "{id:?} has a part that is gone or another's"
                );
            }
        }
    }

    pub(super) fn check_parts(&self) {
        let (mut at_gate, mut for_channel, mut with_channel) = (0, 0, 0);
        for (id, part) in self.parts.iter() {
            let op = self.ops.get(part.op);
            assert!(
                op.is_some_and(|op| op.parts.contains(&id)),
                "{id:?} belongs to no operation"
            );
            let timed = self.deadlines.get(Key::Part(id)).is_some();
            match part.stage {
                Stage::Going => panic!("{id:?} was left on its way"),
                Stage::Channel => for_channel += 1,
                Stage::Gate(_) => at_gate += 1,
                Stage::Calling(call) => {
                    let call = self.calls.get(call);
                    assert!(
                        call.is_some_and(|call| call.parts.contains(&id)),
                        "{id:?} is in no call"
                    );
                }
                Stage::Sleeping { .. } => {}
            }
            assert!(
                timed != matches!(part.stage, Stage::Calling(_)),
                "{id:?} waits in {:?}, with a deadline: {timed}",
                part.stage
            );
            with_channel += usize::from(part.update.is_some());
        }
        assert!(
            at_gate == self.gate.waiting_len(),
            "{at_gate} parts wait at the gate"
        );
        assert!(
            for_channel == self.channels.waiting_len(),
            "{for_channel} parts wait for a channel"
        );
        assert!(
            with_channel == self.channels.in_use_len(),
            "{with_channel} parts hold a channel"
        );
    }

    pub(super) fn check_calls(&self) {
        for (id, call) in self.calls.iter() {
            for part in &call.parts {
                let stage = self.parts.get(*part).map(|part| part.stage);
                assert!(
                    stage == Some(Stage::Calling(id)),
                    "{id:?} carries a part in {stage:?}"
                );
            }
        }
    }
}
