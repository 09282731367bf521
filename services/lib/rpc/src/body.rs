//! Bodies that are held in memory so that they can be sent again, and bodies that are not.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::future::poll_fn;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;

/// A body that is all there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) data: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Whole {
    pub(crate) fn into_body(self) -> Body {
        let mut frames = VecDeque::with_capacity(2);
        if !self.data.is_empty() {
            frames.push_back(Frame::data(self.data));
        }
        frames.extend(self.trailers.map(Frame::trailers));
        Body::new(Pieces { frames, rest: None })
    }
}

pub(crate) enum Gathered {
    Whole(Whole),
    /// Longer than the limit, or (with [`Patience::Immediate`]) not there yet. Nothing of it is lost.
    Open(Body),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait for the end of the body.
    Wait,
    /// Take what is there without waiting: a unary message is, a stream of the caller is not.
    Immediate,
}

/// Reads a body up to a limit.
pub(crate) async fn gather(mut body: Body, limit: usize, patience: Patience) -> Result<Gathered, tonic::Status> {
    if body.is_end_stream() {
        return Ok(Gathered::Whole(Whole::default()));
    }
    let mut frames: Vec<Frame<Bytes>> = Vec::new();
    let mut held = 0;
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending if patience == Patience::Immediate => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match pin!(next).await {
            Some(None) => return Ok(Gathered::Whole(join(frames, held))),
            Some(Some(frame)) => {
                let frame = frame?;
                held += frame.data_ref().map_or(0, Bytes::len);
                frames.push(frame);
                if held > limit {
                    break;
                }
            }
            None => break,
        }
    }
    Ok(Gathered::Open(Body::new(Pieces { frames: frames.into(), rest: Some(body) })))
}

fn join(frames: Vec<Frame<Bytes>>, length: usize) -> Whole {
    let mut trailers = None;
    let mut parts = Vec::with_capacity(frames.len());
    for frame in frames {
        match frame.into_data() {
            Ok(data) => parts.push(data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let data = match parts.len() {
        0 => Bytes::new(),
        1 => parts.swap_remove(0),
        _ => {
            let mut joined = BytesMut::with_capacity(length);
            for part in parts {
                joined.extend_from_slice(&part);
            }
            joined.freeze()
        }
    };
    Whole { data, trailers }
}

/// Frames that were read already, then the rest.
struct Pieces {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<Body>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held: usize = self.frames.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        let held = held as u64;
        let Some(rest) = &self.rest else { return SizeHint::with_exact(held) };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}
