//! A timer for streams that must not stay silent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Expires when it has not been touched for a while. Touching it only reads the clock: resetting a timer on every write
/// would cost more than the write.
#[derive(Debug)]
pub struct IdleTimer {
    limit: Duration,
    touched: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    /// Starts now.
    pub fn new(limit: Duration) -> Self {
        Self { limit, touched: Instant::now(), sleep: Box::pin(sleep(limit)) }
    }

    /// Starts again.
    pub fn touch(&mut self) {
        self.touched = Instant::now();
    }

    /// Ready when nothing has touched it for the limit; it starts again then.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let due = self.touched + self.limit;
            let now = Instant::now();
            if due <= now {
                self.touched = now;
                self.sleep.as_mut().reset(now + self.limit);
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_expires_after_each_silence() {
        let begun = Instant::now();
        let mut timer = IdleTimer::new(Duration::from_secs(10));
        sleep(Duration::from_secs(7)).await;
        timer.touch();
        for seconds in [17, 27] {
            std::future::poll_fn(|cx| timer.poll_expired(cx)).await;
            assert_eq!(begun.elapsed(), Duration::from_secs(seconds));
        }
    }
}
