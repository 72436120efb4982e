//! Work that wakes itself while it is polled is polled again at once.
//!
//! Hyper hands the body of a request to the service within one task, and each side wakes that task for the other. For the
//! scheduler a task that was woken while it ran is one more that waits: it goes to the end of the queue, and another thread is
//! woken to help. That would be two threads woken for each request, for nothing.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls in a row before other tasks have their turn.
const MOST: usize = 8;

/// Nothing has happened since the last turn.
const IDLE: u8 = 0;
/// It is being polled.
const POLLED: u8 = 1;
/// It was woken, and its next poll is under way or asked for.
const WOKEN: u8 = 2;

/// Does the work, which is on the heap: thousands of connections have it twice otherwise, before and after its first turn.
pub(super) fn repolled<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let mut work = Box::pin(work);
    let own = Arc::new(OwnWaker::default());
    let waker = Waker::from(Arc::clone(&own));
    poll_fn(move |context| {
        own.task.register(context.waker());
        for _ in 0..MOST {
            own.state.store(POLLED, Ordering::Release);
            if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            if own.state.compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

#[derive(Debug, Default)]
struct OwnWaker {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for OwnWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::mpsc;

    use super::*;

    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes itself `turns` times before it is ready.
    fn restless(mut turns: usize) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// How often the task of such work is polled and woken.
    fn turns(work: impl Future) -> (usize, usize) {
        let wakes = Arc::<Counted>::default();
        let waker = Waker::from(Arc::clone(&wakes));
        let mut work = pin!(repolled(work));
        let polls = (1..=100).find(|_| work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        (polls.unwrap(), wakes.0.load(Ordering::Relaxed))
    }

    #[test]
    fn waking_itself_costs_the_task_no_turn() {
        assert_eq!(turns(restless(0)), (1, 0));
        assert_eq!(turns(restless(MOST - 1)), (1, 0));
    }

    #[test]
    fn others_have_their_turn_all_the_same() {
        assert_eq!(turns(restless(MOST)), (2, 1));
        assert_eq!(turns(restless(10 * MOST)), (11, 10));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_wake_from_elsewhere_is_lost() {
        const MESSAGES: usize = 20_000;
        let (there, mut at_there) = mpsc::channel::<usize>(1);
        let (back, mut at_back) = mpsc::channel(1);
        let echo = tokio::spawn(repolled(async move {
            while let Some(number) = at_there.recv().await {
                if back.send(number).await.is_err() {
                    return;
                }
            }
        }));
        let asked = repolled(async move {
            for number in 0..MESSAGES {
                there.send(number).await.unwrap();
                assert_eq!(at_back.recv().await, Some(number));
            }
        });
        tokio::spawn(asked).await.unwrap();
        echo.await.unwrap();
    }
}
