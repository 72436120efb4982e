//! Which system calls a process may make: seccomp programs.
//!
//! What is refused here is nothing that an application needs: ways into other processes, ways around Landlock, and parts
//! of the kernel with a history of holes. Everything else goes on as before.

use std::collections::BTreeMap;

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter, sock_filter,
};

/// The number of the limit that carries a mark; see [`crate::Mark`].
use crate::mark::RESOURCE;

/// Refused whatever their arguments are.
const REFUSED: &[i64] = &[
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // namespaces and mounts
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // parts of the kernel
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// On x86-64, numbers from here on are calls of another interface, which no filter by number sees.
#[cfg(target_arch = "x86_64")]
const OTHER_INTERFACE: u32 = 0x4000_0000;

/// The programs, in the order in which they are put on. `guarded` is a process that must not be signalled, where Landlock
/// does not see to that.
pub(crate) fn programs(guarded: Option<u32>) -> Result<Vec<BpfProgram>, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let program = |rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32| -> Result<BpfProgram, BackendError> {
        let errno = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?.try_into()
    };
    // a filter cannot read the flags of `clone3`; without it, libraries use `clone`
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut programs = vec![program(absent, libc::ENOSYS)?, program(refused(guarded)?, libc::EPERM)?];
    programs.extend(other_interface());
    Ok(programs)
}

fn refused(guarded: Option<u32>) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let is = |argument, value: u64| SeccompCondition::new(argument, Dword, SeccompCmpOp::Eq, value);
    let is_not_zero = |argument| SeccompCondition::new(argument, Qword, SeccompCmpOp::Ne, 0);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let flags = NAMESPACES.into_iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        SeccompRule::new(vec![SeccompCondition::new(0, Dword, SeccompCmpOp::MaskedEq(flag), flag)?])
    });
    rules.insert(libc::SYS_clone, flags.collect::<Result<_, _>>()?);
    // limits of other processes, and the one that carries the mark
    let foreign = SeccompRule::new(vec![SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, 0)?, is_not_zero(2)?])?;
    let mark = SeccompRule::new(vec![is(1, RESOURCE.into())?, is_not_zero(2)?])?;
    rules.insert(libc::SYS_prlimit64, vec![foreign, mark]);
    rules.insert(libc::SYS_setrlimit, vec![SeccompRule::new(vec![is(0, RESOURCE.into())?])?]);
    if let Some(pid) = guarded {
        let everybody = u64::from(u32::MAX);
        let victims = |pid: u32| -> Result<Vec<SeccompRule>, BackendError> {
            // the group of the process as well
            [u64::from(pid), u64::from(pid.wrapping_neg()), everybody]
                .into_iter()
                .map(|victim| SeccompRule::new(vec![is(0, victim)?]))
                .collect()
        };
        for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_tkill, libc::SYS_rt_sigqueueinfo, libc::SYS_pidfd_open]
        {
            rules.insert(call, victims(pid)?);
        }
    }
    Ok(rules)
}

/// Refuses calls of the 32-bit interface in 64-bit processes, as a kernel without it does.
#[cfg(target_arch = "x86_64")]
fn other_interface() -> Vec<BpfProgram> {
    const LOAD: u16 = 0x20;
    const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let errno = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![vec![
        // the number of the call is the first field
        step(LOAD, 0, 0, 0),
        step(JUMP_GREATER_OR_EQUAL, 0, 1, OTHER_INTERFACE),
        step(RETURN, 0, 0, errno),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]]
}

#[cfg(not(target_arch = "x86_64"))]
fn other_interface() -> Vec<BpfProgram> {
    Vec::new()
}

/// Puts the programs on this thread.
pub(crate) fn apply(programs: &[BpfProgram]) -> Result<(), seccompiler::Error> {
    programs.iter().try_for_each(|program| apply_filter(program))
}

/// The program as `struct sock_filter[]`.
pub(crate) fn bytes(program: &BpfProgram) -> Vec<u8> {
    let step = |step: &sock_filter| {
        let [low, high] = step.code.to_ne_bytes();
        let [a, b, c, d] = step.k.to_ne_bytes();
        [low, high, step.jt, step.jf, a, b, c, d]
    };
    program.iter().flat_map(step).collect()
}

/// Whether a filter can be put on. Restricts this thread.
pub(crate) fn probe() -> Result<(), String> {
    let programs = programs(None).map_err(|error| error.to_string())?;
    apply(&programs).map_err(|error| error.to_string())
}
