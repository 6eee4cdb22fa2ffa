//! What a guard watches and kills with: the signals that it takes, its timer, and the list of its children. All of it
//! is opened once.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::sys::uio::pread;
use nix::unistd::{Pid, write};

/// The children of the thread that opens it, as numbers with a space behind each.
const CHILDREN: &str = "/proc/thread-self/children";
/// Bytes of that list that are read at once; more children than fit are killed in the next rounds.
const LIST_BYTES: usize = 4_096;
/// A deadline further away than this, in milliseconds since boot, is as good as none: 139 years.
const FAR_MS: u64 = 1 << 42;

/// The means of one guard.
pub(super) struct Tree {
    signals: SignalFd,
    timer: TimerFd,
    children: OwnedFd,
    group: Option<OwnedFd>,
}

impl Tree {
    /// The means of this process to end its children, and with `group` its whole control group.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub(super) fn new(group: Option<BorrowedFd<'_>>) -> Result<Self, Errno> {
        let mut taken = SigSet::empty();
        taken.add(Signal::SIGCHLD);
        taken.add(Signal::SIGTERM);
        let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        // This clock counts while the host sleeps, and its timer fires as soon as that ends.
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let children = open(CHILDREN, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let group = match group {
            Some(group) => Some(nix::unistd::dup(group)?),
            None => None,
        };
        Ok(Self { signals, timer, children, group })
    }

    /// The descriptors of signals and timer.
    pub(super) fn wanted(&self) -> [BorrowedFd<'_>; 2] {
        [self.signals.as_fd(), self.timer.as_fd()]
    }

    /// Has the timer fire at this time since boot, in milliseconds.
    pub(super) fn arm(&self, at_ms: Option<u64>) {
        let _ = match at_ms {
            None => self.timer.unset(),
            Some(at_ms) => {
                // Zero would disarm the timer.
                let at = TimeSpec::milliseconds(at_ms.clamp(1, FAR_MS).cast_signed());
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
        };
    }

    /// Takes the signals that have come; whether the one for the end was among them.
    pub(super) fn take_signals(&self) -> bool {
        let mut ends = false;
        while let Ok(Some(info)) = self.signals.read_signal() {
            ends |= info.ssi_signo == Signal::SIGTERM as u32;
        }
        ends
    }

    /// Kills the children, and the control group if there is one. Children of the dead become children of this guard and
    /// are killed when it looks again. With no signal it only looks.
    pub(super) fn kill(&self, with: Option<Signal>) {
        let mut list = [0; LIST_BYTES];
        let length = pread(&self.children, &mut list, 0).unwrap_or_default();
        let mut number = 0_i32;
        for byte in list.get(..length).unwrap_or_default() {
            if let digit @ b'0'..=b'9' = byte {
                number = number.wrapping_mul(10).wrapping_add(i32::from(*digit - b'0'));
            } else if number > 1 {
                // A child that has not been waited for keeps its number.
                let _ = kill(Pid::from_raw(number), with);
                number = 0;
            }
        }
        if let (Some(group), Some(_)) = (&self.group, with) {
            // Ends what makes new processes faster than one after the other can be killed. Last, because the kernel may
            // have it wait for whatever other processes do with their groups: 0.4 seconds were seen on a busy machine.
            let _ = write(group, b"1");
        }
    }
}
