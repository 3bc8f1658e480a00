//! A connection on its way in.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_io_timeout::TimeoutStream;
use tower::Service;

use super::doorkeeper::{Doorkeeper, Place};
use super::held_with;

/// Lets connections in as the doorkeeper allows.
#[derive(Debug, Clone)]
pub struct Watched {
    door: Arc<Doorkeeper>,
    write: Duration,
}

impl Watched {
    /// With `door` in front; who takes nothing of an answer for as long as `write` is cut off.
    #[must_use]
    pub fn new(door: Arc<Doorkeeper>, write: Duration) -> Self {
        Self { door, write }
    }

    fn let_in(&self, stream: TcpStream) -> io::Result<(Connection, Arc<Place>)> {
        let peer = stream.peer_addr()?;
        // New rows go out at once.
        stream.set_nodelay(true)?;
        let full = || io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections");
        let (place, leave) = self.door.enter(peer.ip()).ok_or_else(full)?;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write));
        let connection =
            Connection { stream: Box::pin(stream), leave: Some(leave), _place: place.clone() };
        Ok((connection, place))
    }
}

impl<S> Accept<TcpStream, S> for Watched {
    type Stream = Connection;
    type Service = Counted<S>;
    type Future = Ready<io::Result<(Connection, Counted<S>)>>;

    fn accept(&self, stream: TcpStream, inner: S) -> Self::Future {
        ready(self.let_in(stream).map(|(stream, place)| (stream, Counted { inner, place })))
    }
}

/// A connection that ends when it has to leave.
#[derive(Debug)]
pub struct Connection {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    leave: Option<oneshot::Receiver<()>>,
    _place: Arc<Place>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let told = self.leave.as_mut().map(|leave| Pin::new(leave).poll(cx));
        if let Some(Poll::Ready(told)) = told {
            self.leave = None;
            if told.is_ok() {
                // As if the other side had ended it: there is nobody to tell why.
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

/// Notes on a connection's place when something on it is being answered.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    place: Arc<Place>,
}

impl<S, B> Service<http::Request<B>> for Counted<S>
where
    S: Service<http::Request<B>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let answering = self.place.answer();
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(held_with(answer.await?, answering)) })
    }
}
