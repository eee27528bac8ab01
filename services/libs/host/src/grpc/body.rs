//! Bodies that keep promises: a response ends at its deadline or when the server drains, and its
//! end is seen; a request is no larger than allowed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};
use tracing::Span;

use super::call::Ending;
use super::status::{refusal, unavailable};

/// A response body that ends at the call's deadline, or when `cut` is cancelled, with a status in
/// its trailers, and tells how the call ended.
pub(super) struct Answer {
    inner: Body,
    span: Span,
    deadline: Option<Pin<Box<Sleep>>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    ending: Ending,
    ended: bool,
}

impl Answer {
    pub(super) fn new(
        inner: Body,
        span: Span,
        deadline: Option<Instant>,
        cut: CancellationToken,
        ending: Ending,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self { inner, span, deadline, cut: Box::pin(cut.cancelled_owned()), ending, ended: false }
    }

    /// Ends the stream with `status` instead of what the handler would still have sent.
    fn end_with(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.ended = true;
        self.inner = Body::empty();
        self.ending.tell(status.code());
        let mut trailers = HeaderMap::new();
        match status.add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(axum::Error::new(error)))),
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if this.deadline.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready()) {
            return this.end_with(&refusal(
                Code::DeadlineExceeded,
                "DeadlineExceeded",
                "the caller's deadline passed",
            ));
        }
        if this.cut.as_mut().poll(context).is_ready() {
            return this.end_with(&unavailable("the server shuts down; call another replica"));
        }
        let polled = this.span.in_scope(|| Pin::new(&mut this.inner).poll_frame(context));
        match ready!(polled) {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code_of) {
                    this.ending.tell(code);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.ending.tell(Code::Internal);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.ended = true;
                this.ending.tell(Code::Unknown);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The status code in headers or trailers, where there is one.
pub(super) fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

/// A request body that refuses to grow beyond a number of bytes.
pub(super) struct Bounded {
    inner: Body,
    left: usize,
    most: usize,
}

impl Bounded {
    pub(super) fn new(inner: Body, most: usize) -> Self {
        Self { inner, left: most, most }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Some(Ok(frame)) => frame,
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(size) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                let message =
                    format!("the request is larger than {} bytes; ask for less at a time", self.most);
                Poll::Ready(Some(Err(refusal(Code::ResourceExhausted, "RequestTooLarge", &message))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
