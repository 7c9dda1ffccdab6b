//! Which instruction of a function carries its probe.
//!
//! In: a function's bytes and the registers its operands are in. Out: a [`Spot`],
//! or the sentence why there is none.

use super::Cost;
use super::x86_64::{Flow, RegSet, Step, decode};

/// Longest function decoded, in bytes.
const FUNCTION_LIMIT: usize = 1 << 20;
/// Instructions in which a stack guard's branch must reach its call: it saves the
/// register arguments (at most 9 integers and 15 floats) first.
const GUARD_LIMIT: usize = 32;

/// An instruction chosen for a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) address: u64,
    pub(super) len: u64,
    pub(super) cost: Cost,
    /// Hits whose flags take the probed `jbe` are no calls yet.
    pub(super) skip_if_guard_taken: bool,
    pub(super) text: String,
}

impl Spot {
    fn new(step: &Step, cost: Cost) -> Self {
        Self {
            address: step.address,
            len: step.len,
            cost,
            skip_if_guard_taken: false,
            text: step.text(),
        }
    }
}

/// A function's instructions.
#[derive(Debug)]
pub(super) struct Body {
    start: u64,
    steps: Vec<Step>,
}

impl Body {
    /// A function's code; `is_entered` where it begins with its entry and is no part of
    /// another function.
    pub(super) fn new(bytes: &[u8], start: u64, is_entered: bool) -> Self {
        let bytes = &bytes[..bytes.len().min(FUNCTION_LIMIT)];
        let mut body = Self { start, steps: decode(bytes, start).collect() };
        let fresh = if is_entered { body.fresh() } else { 0 };
        for step in body.steps.iter_mut().skip(fresh) {
            if step.may_become_call {
                step.cost = None;
            }
        }
        body
    }

    /// How many instructions at the start see nothing of the function's own below the stack
    /// pointer, where a leaf may keep its locals.
    fn fresh(&self) -> usize {
        let jumps = self.steps.iter().filter_map(|step| match step.flow {
            Flow::Branch(target) | Flow::Jump(Some(target)) => Some(target),
            _ => None,
        });
        // What is jumped to may be met with locals.
        let inside = jumps.filter(|&target| target >= self.start).min().unwrap_or(u64::MAX);
        let is_fresh =
            |step: &&Step| step.address < inside && step.flow == Flow::Next && !step.stores;
        self.steps.iter().take_while(is_fresh).count()
    }

    /// The first instruction at which a call can be seen exactly once with the
    /// registers in `needed` and the stack pointer as the caller left them, and the
    /// cheapest such. `is_stack_growth` tells Go's `morestack` functions by address.
    pub(super) fn start_spot(
        &self,
        needed: RegSet,
        is_stack_growth: impl Fn(u64) -> bool,
    ) -> Result<Spot, String> {
        let needed = needed.with_stack();
        let mut guards: Vec<&Step> = Vec::new();
        let mut slow = None;
        let mut looped = false;
        for step in &self.steps {
            let Some(cost) = step.cost else {
                if step.may_become_call && step.flow == Flow::Next && !step.writes.meets(needed) {
                    continue;
                }
                break;
            };
            let is_guard = self.is_stack_guard(step, &is_stack_growth);
            if is_guard {
                // Before it a call would be counted again when the stack has grown.
                slow = None;
                guards.push(step);
                continue;
            }
            if self.is_reentered(step, &guards) {
                looped = true;
            } else if cost == Cost::Emulated {
                return Ok(Spot::new(step, cost));
            } else {
                slow = slow.or(Some(step));
            }
            if step.flow != Flow::Next || step.writes.meets(needed) {
                break;
            }
        }
        if let Some(guard) = guards.last().filter(|step| step.is_jbe)
            && !self.is_reentered(guard, &guards)
        {
            return Ok(Spot { skip_if_guard_taken: true, ..Spot::new(guard, Cost::Emulated) });
        }
        if let Some(step) = slow {
            return Ok(Spot::new(step, Cost::Slow));
        }
        Err(if looped {
            "a loop comes back to its first instructions, where each turn would count as a call"
        } else {
            "no instruction at its start can carry a probe while its operands are in place"
        }
        .to_owned())
    }

    /// Each direct call to one of the addresses.
    pub(super) fn calls_to(&self, targets: &[u64]) -> Vec<Spot> {
        let calls = self.steps.iter().filter(
            |step| matches!(step.flow, Flow::Call(Some(target)) if targets.contains(&target)),
        );
        calls.filter_map(|step| Some(Spot::new(step, step.cost?))).collect()
    }

    /// Behind each direct call to one of the addresses, the first instruction that the
    /// kernel emulates before control can turn elsewhere; `None` where a call has none.
    pub(super) fn after_calls_to(&self, targets: &[u64]) -> Option<Vec<Spot>> {
        let behind = |call: Spot| {
            for step in self.from(call.address + call.len) {
                match step.cost {
                    Some(Cost::Emulated) => return Some(Spot::new(step, Cost::Emulated)),
                    _ if step.flow != Flow::Next => return None,
                    _ => {}
                }
            }
            None
        };
        self.calls_to(targets).into_iter().map(behind).collect()
    }

    /// Whether the body calls or jumps to the address directly.
    pub(super) fn leads_to(&self, address: u64) -> bool {
        self.steps.iter().any(|step| match step.flow {
            Flow::Call(target) | Flow::Jump(target) => target == Some(address),
            _ => false,
        })
    }

    /// A conditional branch to code that grows the stack and starts the function over.
    fn is_stack_guard(&self, step: &Step, is_stack_growth: impl Fn(u64) -> bool) -> bool {
        let Flow::Branch(target) = step.flow else {
            return false;
        };
        for step in self.from(target).iter().take(GUARD_LIMIT) {
            match step.flow {
                Flow::Next => {}
                Flow::Call(Some(target)) => return is_stack_growth(target),
                _ => return false,
            }
        }
        false
    }

    /// Whether code after `site` jumps back to it or before it, except from the
    /// stack growth of a guard that is passed before the site.
    fn is_reentered(&self, site: &Step, guards: &[&Step]) -> bool {
        let returns_from_growth = |address: u64| {
            guards.iter().any(|guard| {
                let Flow::Branch(target) = guard.flow else {
                    return false;
                };
                let mut block = self.from(target).iter().take(2 * GUARD_LIMIT);
                let end = block.find(|step| matches!(step.flow, Flow::Jump(_) | Flow::Away));
                end.is_some_and(|step| step.address == address)
            })
        };
        self.steps.iter().filter(|step| step.address >= site.address).any(|step| {
            let (Flow::Branch(target) | Flow::Jump(Some(target))) = step.flow else {
                return false;
            };
            (self.start..=site.address).contains(&target) && !returns_from_growth(step.address)
        })
    }

    /// The instructions from an address on; none if it starts no instruction.
    fn from(&self, address: u64) -> &[Step] {
        let index = self.steps.binary_search_by_key(&address, |step| step.address);
        index.map_or(&[], |index| &self.steps[index..])
    }
}

/// Addresses at which the bytes of a direct call or jump to `target` stand, found
/// without decoding: data may look like one too.
pub(super) fn relative_calls(
    bytes: &[u8],
    start: u64,
    target: u64,
) -> impl Iterator<Item = u64> + '_ {
    (start..).zip(bytes.windows(5)).filter_map(move |(address, window)| {
        let (&opcode, distance) = window.split_first()?;
        let distance = i32::from_le_bytes(distance.try_into().ok()?);
        let to = address.wrapping_add(5).wrapping_add(i64::from(distance) as u64);
        (matches!(opcode, 0xe8 | 0xe9) && to == target).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use probe_ebpf::Reg;

    use super::*;

    const START: u64 = 0x40_1000;
    const MORESTACK: u64 = START + 0x1000;

    fn regs(regs: &[Reg]) -> RegSet {
        regs.iter().fold(RegSet::default(), |set, &reg| set.with(reg as u8))
    }

    /// Puts a rel32 for `target` behind `opcode`.
    fn relative(code: &mut Vec<u8>, opcode: &[u8], target: u64) {
        code.extend(opcode);
        let next = START + code.len() as u64 + 4;
        code.extend((target.wrapping_sub(next) as i32).to_le_bytes());
    }

    fn spot(code: &[u8], needed: &[Reg]) -> Result<Spot, String> {
        Body::new(code, START, true).start_spot(regs(needed), |address| address == MORESTACK)
    }

    /// A Go function: `before`, guard, `after`, ret, and the code that grows the stack.
    fn go_function(before: &[u8], jcc: u8, after: &[u8]) -> Vec<u8> {
        let mut code = before.to_vec();
        code.extend([jcc, after.len() as u8 + 1]);
        code.extend(after);
        code.push(0xc3);
        code.extend([0x48, 0x89, 0x44, 0x24, 0x08]); // mov [rsp+8], rax
        relative(&mut code, &[0xe8], MORESTACK);
        code.extend([0x48, 0x8b, 0x44, 0x24, 0x08]); // mov rax, [rsp+8]
        relative(&mut code, &[0xe9], START);
        code
    }

    const CMP: &[u8] = &[0x49, 0x3b, 0x66, 0x10]; // cmp rsp, [r14+0x10]
    const JBE: u8 = 0x76;
    const FRAME: &[u8] = &[0x55, 0x48, 0x89, 0xe5]; // push rbp; mov rbp, rsp

    #[test]
    fn go_1_21_is_probed_at_the_push_behind_the_guard() {
        let spot = spot(&go_function(CMP, JBE, FRAME), &[Reg::Rax, Reg::Rbx]).unwrap();
        assert_eq!((spot.address, spot.cost), (START + 6, Cost::Emulated));
        assert_eq!((spot.text.as_str(), spot.skip_if_guard_taken), ("push rbp", false));
    }

    #[test]
    fn a_large_frame_needs_r12_for_its_guard() {
        // lea r12, [rsp-0x30]; cmp r12, [r14+0x10]
        let before = [0x4c, 0x8d, 0x64, 0x24, 0xd0, 0x4d, 0x3b, 0x66, 0x10];
        let code = go_function(&before, JBE, FRAME);
        assert_eq!(spot(&code, &[Reg::Rax]).unwrap().address, START + 11);
        // Were R12 an operand, only the first instruction would have it, before the guard.
        assert!(spot(&code, &[Reg::R12]).is_err());
    }

    #[test]
    fn go_1_19_is_probed_at_the_guard_itself() {
        // sub rsp, 0x18; mov [rsp+0x10], rbp
        let after = [0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10];
        let spot = spot(&go_function(CMP, JBE, &after), &[Reg::Rax, Reg::Rbx]).unwrap();
        assert_eq!((spot.address, spot.cost), (START + 4, Cost::Emulated));
        assert!(spot.skip_if_guard_taken);
    }

    #[test]
    fn a_nop_before_the_guard_would_count_twice() {
        let before = [&[0x90], CMP].concat();
        let spot = spot(&go_function(&before, JBE, FRAME), &[Reg::Rax]).unwrap();
        assert_eq!(spot.address, START + 7);
    }

    #[test]
    fn a_guard_other_than_jbe_cannot_be_told_by_its_flags() {
        const JB: u8 = 0x72;
        // Behind it `sub rsp` can still be probed, slowly, and counts once.
        let spot = spot(&go_function(CMP, JB, &[0x48, 0x83, 0xec, 0x18]), &[Reg::Rax]).unwrap();
        assert_eq!((spot.address, spot.cost), (START + 6, Cost::Slow));
    }

    #[test]
    fn endbr64_is_walked_over_and_a_branch_is_a_site() {
        // endbr64; mov eax, [rdi+0x10]; test al, 1; jne +0x10; push rbx; ret
        let code =
            [0xf3, 0x0f, 0x1e, 0xfa, 0x8b, 0x47, 0x10, 0xa8, 0x01, 0x75, 0x02, 0x53, 0xc3, 0xc3];
        let spot = spot(&code, &[Reg::Rdi]).unwrap();
        assert_eq!((spot.address, spot.cost), (START + 9, Cost::Emulated));
        assert!(!spot.skip_if_guard_taken);
    }

    #[test]
    fn a_lost_operand_falls_back_to_the_slow_entry() {
        // mov rdi, rsi; push rbx; ret
        let code = [0x48, 0x89, 0xf7, 0x53, 0xc3];
        let slow = spot(&code, &[Reg::Rdi]).unwrap();
        assert_eq!((slow.address, slow.cost), (START, Cost::Slow));
        let cheap = spot(&code, &[Reg::Rsi]).unwrap();
        assert_eq!((cheap.address, cheap.cost), (START + 3, Cost::Emulated));
    }

    #[test]
    fn a_moved_stack_pointer_hides_the_caller() {
        // sub rsp, 8; push rbx; ret
        let spot = spot(&[0x48, 0x83, 0xec, 0x08, 0x53, 0xc3], &[Reg::Rdi]).unwrap();
        assert_eq!((spot.address, spot.cost), (START, Cost::Slow));
    }

    #[test]
    fn nothing_behind_a_lock_prefix_or_a_return_is_used() {
        // mov eax, 1; lock cmpxchg [rdi], ecx; push rbx
        let locked = [0xb8, 1, 0, 0, 0, 0xf0, 0x0f, 0xb1, 0x0f, 0x53, 0xc3];
        assert_eq!(spot(&locked, &[Reg::Rdi]).unwrap().address, START);
        // A lock prefix first: nothing at all.
        assert!(spot(&locked[5..], &[Reg::Rdi]).is_err());
        // mov eax, 1; ret; push rbx
        assert_eq!(spot(&[0xb8, 1, 0, 0, 0, 0xc3, 0x53], &[]).unwrap().address, START);
    }

    const NOP5: &[u8] = &[0x0f, 0x1f, 0x44, 0x00, 0x00];
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    /// mov [rsp-8], rdi
    const STORE: &[u8] = &[0x48, 0x89, 0x7c, 0x24, 0xf8];

    fn address_and_cost(code: &[&[u8]]) -> (u64, Cost) {
        let spot = spot(&code.concat(), &[Reg::Rdi]).unwrap();
        (spot.address - START, spot.cost)
    }

    #[test]
    fn a_nop_that_becomes_a_call_is_used_only_where_nothing_was_stored() {
        assert_eq!(address_and_cost(&[NOP5, &[0x53, 0xc3]]), (0, Cost::Emulated));
        assert_eq!(address_and_cost(&[ENDBR64, NOP5, &[0x53, 0xc3]]), (4, Cost::Emulated));
        // The local is overwritten: neither cheap nor slow, but what is behind it may do.
        assert_eq!(address_and_cost(&[STORE, NOP5, &[0xc3]]), (0, Cost::Slow));
        assert_eq!(address_and_cost(&[STORE, NOP5, &[0x53, 0xc3]]), (10, Cost::Emulated));
        // Behind a branch there may have been a store; that of the entry can be used itself.
        assert_eq!(address_and_cost(&[&[0x74, 0x01, 0xc3], NOP5, &[0xc3]]), (0, Cost::Emulated));
        // xor eax, eax; L: nop; mov [rsp-8], rdi; dec ecx; jne L; ret
        let code = [&[0x31, 0xc0], NOP5, STORE, &[0xff, 0xc9, 0x75, 0xf2, 0xc3]];
        assert_eq!(address_and_cost(&code), (0, Cost::Slow));
    }

    #[test]
    fn a_part_of_another_function_has_its_locals_from_the_start() {
        let code = [NOP5, &[0x53, 0xc3]].concat();
        let body = Body::new(&code, START, false);
        let spot = body.start_spot(regs(&[Reg::Rdi]), |_| false).unwrap();
        assert_eq!(spot.address, START + 5);
    }

    #[test]
    fn behind_a_call_no_nop_becomes_one() {
        let mut code = vec![0x55];
        relative(&mut code, &[0xe8], START + 0x500);
        code.extend([NOP5, &[0x90, 0xc3]].concat());
        let spots = Body::new(&code, START, true).after_calls_to(&[START + 0x500]).unwrap();
        assert_eq!(spots[0].address, START + 11);
    }

    #[test]
    fn a_loop_to_the_start_cannot_be_counted() {
        // push rbx; pop rbx; jmp to the start
        assert!(spot(&[0x53, 0x5b, 0xeb, 0xfc], &[]).unwrap_err().contains("loop"));
        // mov eax, 1; L: push rbx; pop rbx; jne L: the entry is outside of the loop.
        let spot = spot(&[0xb8, 1, 0, 0, 0, 0x53, 0x5b, 0x75, 0xfc, 0xc3], &[]).unwrap();
        assert_eq!((spot.address, spot.cost), (START, Cost::Slow));
    }

    #[test]
    fn an_empty_or_senseless_function_has_no_site() {
        assert!(spot(&[], &[]).is_err());
        assert!(spot(&[0x06], &[]).is_err());
    }

    #[test]
    fn calls_are_found_by_their_target() {
        let mut code = vec![0x55];
        relative(&mut code, &[0xe8], START + 0x500);
        relative(&mut code, &[0xe8], START + 0x600);
        relative(&mut code, &[0xe8], START + 0x500);
        let body = Body::new(&code, START, true);
        let found: Vec<_> =
            body.calls_to(&[START + 0x500]).iter().map(|spot| spot.address - START).collect();
        assert_eq!(found, [1, 11]);
        assert!(body.leads_to(START + 0x600) && !body.leads_to(START + 0x700));
        let found: Vec<_> = relative_calls(&code, START, START + 0x600).collect();
        assert_eq!(found, [START + 6]);
    }

    #[test]
    fn behind_a_call_is_the_first_emulated_instruction() {
        let behind = |code: &[u8]| {
            let mut call = vec![0x55];
            relative(&mut call, &[0xe8], START + 0x500);
            call.extend(code);
            let spots = Body::new(&call, START, true).after_calls_to(&[START + 0x500])?;
            Some(spots.iter().map(|spot| spot.address - START).collect::<Vec<_>>())
        };
        // mov eax, edx; lock cmpxchg [rdi], ecx; jmp
        assert_eq!(behind(&[0x89, 0xd0, 0xf0, 0x0f, 0xb1, 0x0f, 0xeb, 0x10]), Some(vec![12]));
        assert_eq!(behind(&[0x74, 0x10, 0x55]), Some(vec![6]), "je");
        assert_eq!(behind(&[0x89, 0xd0, 0xc3, 0x55]), None, "ret");
        assert_eq!(behind(&[0x89, 0xd0]), None);
    }
}
