//! Maps inside of other maps, whose operations are none of the program's own.
//!
//! In: a plan and the types in its modules. Out: sites that know which map type to
//! skip.

use probe_ebpf::site_flags;

use super::Plan;
use crate::catalog;
use crate::target::Target;

/// Tells every site of a Go map the type of the maps inside of `sync.Map`, where its
/// module has them and is loaded.
pub(super) fn skip(plan: &mut Plan, target: &Target) {
    let is_known = |site: &&mut super::Site| {
        site.kind == "go.map" && site.descriptor.flags & site_flags::TASK_IS_R14 != 0
    };
    let mut found: Vec<Option<u64>> = vec![None; target.modules().len()];
    let mut looked: Vec<bool> = vec![false; found.len()];
    for site in plan.sites.iter_mut().filter(is_known) {
        let module = site.module;
        if !std::mem::replace(&mut looked[module], true) {
            found[module] =
                catalog::INNER_TYPES.iter().find_map(|name| target.go_map_type_named(module, name));
        }
        site.descriptor.skip_aux = found[module].unwrap_or(0);
    }
}
