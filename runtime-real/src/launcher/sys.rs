//! The system calls of a guard that no library wraps without taking memory: everything unsafe of guards is here. A
//! guard is a copy of the launcher made by `fork`, so it may make system calls and read what it has, and neither
//! allocates nor takes a lock.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, size_of};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// Bytes of a page that processes share.
pub(crate) const PAGE_BYTES: usize = 4_096;
/// Words of it.
pub(crate) const PAGE_WORDS: usize = PAGE_BYTES / size_of::<u64>();
/// Descriptors that one message may carry.
pub(crate) const FDS_MAX: usize = 6;
/// Room for the control message of so many descriptors, in words, which also aligns it.
const CONTROL_WORDS: usize = 8;
/// Without the call that closes a range of descriptors, those below this number are closed one by one.
const DESCRIPTORS_MAX: RawFd = 65_536;
/// Has that call mark the descriptors instead, so that the next program does not get them; kernels before 5.11 refuse it.
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
/// The form of a process's sets of capabilities that every kernel since 2.6.26 knows.
const CAPABILITIES_VERSION: u32 = 0x2008_0522;

/// Memory that several processes share.
#[derive(Debug)]
pub(crate) struct SharedPage(NonNull<[AtomicU64; PAGE_WORDS]>);

// SAFETY: all access goes through atomics, and the mapping belongs to the whole process.
unsafe impl Send for SharedPage {}
// SAFETY: as above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Maps the first page of a file, which must be that long.
    pub(crate) fn map(file: impl AsFd) -> Result<Self, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let file = file.as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address of the system's choice touches no memory of this program.
        let at = unsafe { libc::mmap(null_mut(), PAGE_BYTES, protection, libc::MAP_SHARED, file, 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(at.cast()).map(Self).ok_or(Errno::ENOMEM)
    }

    pub(crate) fn words(&self) -> &[AtomicU64; PAGE_WORDS] {
        // SAFETY: the page is mapped as long as `self` lives, aligned, zeroed when it was made, and every bit pattern
        // is a number.
        unsafe { self.0.as_ref() }
    }

    /// Keeps the page in memory, so that no access waits for a disk.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        // SAFETY: locking changes no content.
        Errno::result(unsafe { libc::mlock(self.0.as_ptr().cast(), PAGE_BYTES) }).map(drop)
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and no reference to it outlives `self`.
        unsafe { libc::munmap(self.0.as_ptr().cast(), PAGE_BYTES) };
    }
}

/// Makes a copy of this process; none in the copy.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the copy makes system calls only, never returns into code that takes memory or locks, and ends with
    // `exit` or `execute`.
    let pid = Errno::result(unsafe { libc::fork() })?;
    Ok((pid != 0).then(|| Pid::from_raw(pid)))
}

/// Ends this process at once: no destructor and no handler of the launcher's runs in its copy.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Waits for any child that has ended, without waiting for one to end: its pid and raw status. None while the children
/// run; an error when there is no child.
pub(crate) fn wait_any() -> Result<Option<(i32, i32)>, Errno> {
    let mut status = 0;
    // SAFETY: the status is a place for one number.
    let pid = Errno::result(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) })?;
    Ok((pid != 0).then_some((pid, status)))
}

/// Receives one message and the descriptors that came with it; 0 bytes at the end of the connection.
pub(crate) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    fds: &mut [Option<OwnedFd>; FDS_MAX],
) -> Result<usize, Errno> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all fields of this structure may be zero.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<[u64; CONTROL_WORDS]>();
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: buffer and control memory are as long as the structure says, and outlive the call.
    let length =
        Errno::result(unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags) })?;
    let mut places = fds.iter_mut();
    // SAFETY: the system filled in the control memory, whose messages these macros walk.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let data: *const RawFd = libc::CMSG_DATA(header).cast();
                for at in 0..bytes / size_of::<RawFd>() {
                    // The descriptor is new and has no owner yet; without a place for it, it is closed.
                    let fd = OwnedFd::from_raw_fd(data.add(at).read_unaligned());
                    match places.next() {
                        Some(place) => *place = Some(fd),
                        None => drop(fd),
                    }
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    usize::try_from(length).map_err(|_| Errno::EINVAL)
}

/// Closes every descriptor but these, which are given in rising order.
pub(crate) fn close_others(kept: &[RawFd]) {
    let mut from = 0;
    for end in kept.iter().copied().chain([RawFd::MAX]) {
        if from < end {
            close_range(from, if end == RawFd::MAX { end } else { end - 1 });
        }
        from = end.saturating_add(1);
    }
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: the copy of the launcher owns its table of descriptors, and never uses the closed ones again.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done != 0 {
        // Kernels before 5.9 have no such call.
        for fd in first..=last.min(DESCRIPTORS_MAX) {
            // SAFETY: as above; a number that is not open is an error without effect.
            unsafe { libc::close(fd) };
        }
    }
}

/// Keeps every descriptor but the first three from the next program.
pub(crate) fn close_on_execute() {
    // SAFETY: marking a descriptor closes nothing now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, RawFd::MAX, CLOSE_RANGE_CLOEXEC) };
    if done != 0 {
        for fd in 3..=DESCRIPTORS_MAX {
            // SAFETY: as above; a number that is not open is an error without effect.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// A counter that wakes the process which waits for it.
pub(crate) fn event() -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes numbers only.
    let fd = Errno::result(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives back the copy of the launcher's heap: else it would come to belong to the guard alone, page by page, as the
/// launcher changes its own.
///
/// # Safety of the caller's data
/// Nothing on the heap may be used afterwards; a guard keeps what it needs on its stack.
pub(crate) fn forget_heap((from, to): (usize, usize)) {
    if let Some(length) = to.checked_sub(from).and_then(NonZeroUsize::new) {
        // SAFETY: the range is the heap of this copy, from which nothing is read any more.
        unsafe { libc::madvise(from as *mut libc::c_void, length.get(), libc::MADV_DONTNEED) };
    }
}

/// Keeps what this process touches in memory. Pages that it never uses take none.
pub(crate) fn lock_memory() -> Result<(), Errno> {
    const ON_FAULT: libc::c_int = libc::MCL_ONFAULT;
    // SAFETY: locking changes no content.
    Errno::result(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | ON_FAULT) }).map(drop)
}

/// A copy of a file in the memory of this process, which ends with it or with `execute`.
pub(crate) fn map_copy(file: impl AsFd, length: usize) -> Result<&'static mut [u8], Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let file = file.as_fd().as_raw_fd();
    // SAFETY: a new mapping at an address of the system's choice touches no memory of this program.
    let at = unsafe { libc::mmap(null_mut(), length, protection, libc::MAP_PRIVATE, file, 0) };
    if at == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the mapping is this long, is never unmapped, and no other reference to it exists.
    Ok(unsafe { std::slice::from_raw_parts_mut(at.cast(), length) })
}

/// The user and groups of this process from now on. The numbers of groups are bytes as they stand in memory.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u8]) -> Result<(), Errno> {
    // In this order: without the user's rights the groups could no longer be set.
    // SAFETY: the numbers of groups lie in the slice, which is aligned as a part of a block is.
    Errno::result(unsafe { libc::setgroups(groups.len() / size_of::<u32>(), groups.as_ptr().cast()) })?;
    // SAFETY: the calls take numbers only.
    Errno::result(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// Who asks for the sets of capabilities, and in which form.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

/// Half of a process's sets of capabilities: the first half has the numbers below 32.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of capabilities of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

/// Reads the sets of capabilities of this process.
pub(crate) fn capabilities() -> Result<CapabilitySets, Errno> {
    let header = CapabilityHeader { version: CAPABILITIES_VERSION, pid: 0 };
    let mut halves = [CapabilityHalf::default(); 2];
    // SAFETY: the header and the two halves that this version has outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw const header, halves.as_mut_ptr()) })?;
    let whole =
        |part: fn(&CapabilityHalf) -> u32| u64::from(part(&halves[1])) << 32 | u64::from(part(&halves[0]));
    Ok(CapabilitySets {
        effective: whole(|half| half.effective),
        permitted: whole(|half| half.permitted),
        inheritable: whole(|half| half.inheritable),
    })
}

/// Sets the sets of capabilities of this process.
pub(crate) fn set_capabilities(sets: CapabilitySets) -> Result<(), Errno> {
    let header = CapabilityHeader { version: CAPABILITIES_VERSION, pid: 0 };
    let half = |shift: u32| CapabilityHalf {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) }).map(drop)
}

/// Takes from this process, and from all that it becomes, every capability that is not in `kept`: no program brings it
/// back. Without the right to do so it does nothing.
pub(crate) fn drop_bounding_capabilities(kept: u64) {
    for number in 0..u64::BITS {
        if kept >> number & 1 == 0 {
            // SAFETY: the call takes numbers only; one that the kernel does not know is an error without effect.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        }
    }
}

/// Has programs that are no superuser's start with exactly these capabilities, which this process has and may pass on.
pub(crate) fn set_ambient_capabilities(kept: u64) -> Result<(), Errno> {
    // SAFETY: the call takes numbers only.
    let cleared = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    match Errno::result(cleared) {
        // Kernels before 4.3 have no such set.
        Ok(_) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    for number in (0..u64::BITS).filter(|number| kept >> number & 1 == 1) {
        let number = libc::c_ulong::from(number);
        // SAFETY: as above.
        Errno::result(unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0)
        })?;
    }
    Ok(())
}

/// Becomes a program. The block holds the path, and the arrays of arguments and variables, whose entries are addresses
/// in the block already; only an error returns.
pub(crate) fn execute(block: &[u8], [path, arguments, variables]: [usize; 3]) -> Errno {
    let at = |offset: usize| block.get(offset..).map(<[u8]>::as_ptr);
    let (Some(path), Some(arguments), Some(variables)) = (at(path), at(arguments), at(variables)) else {
        return Errno::EFAULT;
    };
    // SAFETY: the launcher made the block: texts end with a zero byte, arrays with an empty entry.
    unsafe { libc::execve(path.cast(), arguments.cast(), variables.cast()) };
    Errno::last()
}

/// The part of this process's memory that is its heap, by its list of mappings; empty when it holds more than that.
pub(crate) fn heap(maps: &str) -> (usize, usize) {
    // SAFETY: the call returns an address and changes nothing.
    let in_thread = unsafe { libc::__errno_location() } as usize;
    let range = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
    };
    let heap = maps.lines().find(|line| line.ends_with("[heap]")).and_then(range);
    // In a program that is linked statically the thread's own memory may lie there too, and is used to the end.
    heap.filter(|(from, to)| !(*from..*to).contains(&in_thread)).unwrap_or_default()
}

/// Takes hold of a process, so that its number cannot come to mean another one.
pub(crate) fn hold_process(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes numbers only.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Signals a process that is held.
pub(crate) fn signal_process(process: &OwnedFd, signal: i32) -> Result<(), Errno> {
    let (fd, none) = (process.as_raw_fd(), null_mut::<libc::siginfo_t>());
    // SAFETY: without information beside the signal the call takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, none, 0) }).map(drop)
}
