//! Whose turn it is on a connection. A client may close its sending side once it has asked (`nc -N` does): its end is not
//! heard before it has its answer, unless that goes on for ever. A connection that breaks is heard of at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How far the answer to the last request has come.
#[derive(Debug, Default)]
enum Step {
    /// The client's turn.
    #[default]
    Asking,
    /// The answer is being made.
    Answering,
    /// It is there, and goes out; whether a part of it has.
    Sending { begun: bool },
}

#[derive(Debug, Default)]
struct State {
    step: Step,
    /// The reader who was not told that the client has closed its side.
    unheard: Option<Waker>,
}

/// What a connection's stream and its requests know of each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<Mutex<State>>);

impl Turn {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    pub(super) fn asked(&self) {
        self.state().step = Step::Answering;
    }

    /// Its answer is there, and has an end.
    pub(super) fn answered(&self) {
        self.state().step = Step::Sending { begun: false };
    }

    /// Its answer has no end: the client ends it by going.
    pub(super) fn listens(&self) {
        self.over(self.state());
    }

    fn over(&self, mut state: MutexGuard<'_, State>) {
        state.step = Step::Asking;
        let unheard = state.unheard.take();
        drop(state);
        if let Some(reader) = unheard {
            reader.wake();
        }
    }

    /// Whether the end of the client's side is not heard yet.
    fn defers(&self, reader: &Waker) -> bool {
        let mut state = self.state();
        let defers = !matches!(state.step, Step::Asking);
        if defers {
            state.unheard = Some(reader.clone());
        }
        defers
    }

    fn written(&self) {
        if let Step::Sending { begun } = &mut self.state().step {
            *begun = true;
        }
    }

    /// Everything that was written is out.
    fn flushed(&self) {
        let state = self.state();
        if matches!(state.step, Step::Sending { begun: true }) {
            self.over(state);
        }
    }
}

/// A stream that keeps to the turn.
#[derive(Debug)]
pub(super) struct InTurn<S> {
    pub(super) stream: S,
    pub(super) turn: Turn,
}

impl<S: AsyncRead + Unpin> AsyncRead for InTurn<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let has_ended = matches!(read, Poll::Ready(Ok(()))) && room > 0 && buffer.filled().len() == before;
        if has_ended && self.turn.defers(cx.waker()) { Poll::Pending } else { read }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InTurn<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.turn.written();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.turn.written();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.turn.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_client_is_heard_after_its_answer() {
        for is_stream in [false, true] {
            let (near, mut far) = duplex(64);
            let turn = Turn::default();
            let mut near = InTurn { stream: near, turn: turn.clone() };
            far.write_all(b"ask").await.expect("sent");
            far.shutdown().await.expect("closed");
            let mut asked = [0; 3];
            near.read_exact(&mut asked).await.expect("read");
            turn.asked();
            let mut rest = [0; 1];
            assert!(timeout(MOMENT, near.read(&mut rest)).await.is_err(), "it waits for its answer");
            near.flush().await.expect("nothing to send");
            if is_stream {
                turn.listens();
            } else {
                turn.answered();
                near.flush().await.expect("nothing to send");
                assert!(timeout(MOMENT, near.read(&mut rest)).await.is_err(), "it is not out yet");
                near.write_all(b"answer").await.expect("sent");
                near.flush().await.expect("sent");
            }
            assert_eq!(near.read(&mut rest).await.expect("read"), 0);
        }
    }
}
