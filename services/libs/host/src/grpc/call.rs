//! What every call gets: a span that continues the caller's trace, a duration, a deadline, and a
//! bound on its request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry_http::HeaderExtractor;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::{Instrument as _, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::body::{Answer, Bounded, code_of};
use super::status::refusal;

/// What stands for methods that the server does not have, so that callers cannot make metrics grow.
const OTHER: &str = "_OTHER";
/// Probes: counted, but without spans.
const HEALTH: &str = "grpc.health.v1.Health/";
/// Boundaries of `rpc.server.call.duration` in seconds, by the semantic conventions.
const DURATION_BOUNDARIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// How much before its deadline a call is answered, at most: tonic keeps the same deadline by a
/// timer of its own and would answer CANCELLED, and the answer needs a moment to travel.
const MARGIN: Duration = Duration::from_millis(5);

/// When a call must have begun its response; in the request's extensions, for handlers that call on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

/// What the server knows about every call.
pub(super) struct Calls {
    /// `package.Service/Method` of all that the server has.
    pub(super) methods: BTreeSet<String>,
    pub(super) most_time: Duration,
    pub(super) most_bytes: usize,
    /// Cancelled when open streams must end for the drain.
    pub(super) cut: CancellationToken,
    pub(super) duration: Histogram<f64>,
}

impl Calls {
    /// The instrument of all servers: `rpc.server.call.duration`.
    pub(super) fn duration_instrument(meter: &Meter) -> Histogram<f64> {
        meter
            .f64_histogram("rpc.server.call.duration")
            .with_unit("s")
            .with_description("Duration of inbound calls, from their headers to the end of the answer")
            .with_boundaries(DURATION_BOUNDARIES.to_vec())
            .build()
    }
}

/// `traceparent` of the span that is active here, where it is exported.
pub(super) fn current_traceparent() -> Option<String> {
    use opentelemetry::trace::TraceContextExt as _;
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// The outermost layer of the server.
pub(super) async fn serve_call(State(calls): State<Arc<Calls>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let asked = request.uri().path().trim_start_matches('/').to_owned();
    let method = calls.methods.get(&asked).cloned().unwrap_or_else(|| OTHER.to_owned());
    let span = call_span(&request, &method, &asked);
    let allowed = request.headers().get("grpc-timeout").and_then(|value| timeout(value.as_bytes()));
    let stream_deadline = allowed.and_then(|allowed| begun.checked_add(allowed));
    let limit =
        allowed.map_or(calls.most_time, |allowed| (allowed - MARGIN.min(allowed / 10)).min(calls.most_time));
    let request = prepare(request, Deadline(begun + limit), calls.most_bytes);
    let mut ending =
        Ending { duration: calls.duration.clone(), span: span.clone(), method, begun, told: false };
    let answered = tokio::time::timeout(limit, next.run(request)).instrument(span.clone()).await;
    let response = answered.unwrap_or_else(|_| {
        let message = format!("no answer within {limit:?}; ask for less, or set a longer deadline");
        refusal(Code::DeadlineExceeded, "DeadlineExceeded", &message).into_http::<Body>()
    });
    // A status in the headers is the whole answer; else it comes in the trailers.
    if let Some(code) = code_of(response.headers()) {
        ending.tell(code);
        return response;
    }
    let (head, body) = response.into_parts();
    let answer = Answer::new(body, span, stream_deadline, calls.cut.clone(), ending);
    Response::from_parts(head, Body::new(answer))
}

fn prepare(request: Request, deadline: Deadline, most_bytes: usize) -> Request {
    let mut request = request.map(|body| Body::new(Bounded::new(body, most_bytes)));
    request.extensions_mut().insert(deadline);
    request
}

fn call_span(request: &Request, method: &str, asked: &str) -> Span {
    if asked.starts_with(HEALTH) {
        return Span::none();
    }
    let span = tracing::info_span!(
        "grpc",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.method_original = field::Empty,
        rpc.response.status_code = field::Empty,
        error.r#type = field::Empty,
    );
    if method == OTHER {
        span.record("rpc.method_original", asked);
    }
    let caller = opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&HeaderExtractor(request.headers()))
    });
    // Fails where no OpenTelemetry layer is installed or the filter drops the span: nothing to join.
    let _ = span.set_parent(caller);
    span
}

/// Tells the span and the histogram how a call ended, once. Dropped untold, the caller went away.
pub(super) struct Ending {
    duration: Histogram<f64>,
    span: Span,
    method: String,
    begun: Instant,
    told: bool,
}

impl Ending {
    pub(super) fn tell(&mut self, code: Code) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let name = code_name(code);
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", std::mem::take(&mut self.method)),
            KeyValue::new("rpc.response.status_code", name),
        ];
        self.span.record("rpc.response.status_code", name);
        if is_server_error(code) {
            attributes.push(KeyValue::new("error.type", name));
            self.span.record("error.type", name);
            self.span.record("otel.status_code", "ERROR");
        }
        self.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tell(Code::Cancelled);
    }
}

/// By the semantic conventions: the codes that are the server's fault.
const fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The code as gRPC spells it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Reads `grpc-timeout`: at most eight digits and a unit. `None` for anything else, as for none.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number: u64 = match digits.len() {
        1..=8 if digits.iter().all(u8::is_ascii_digit) => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    match unit {
        b'H' => Some(Duration::from_secs(number * 3_600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("", None),
            ("S", None),
            ("5", None),
            ("123456789S", None),
            ("-1S", None),
            ("5x", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        }
    }
}
