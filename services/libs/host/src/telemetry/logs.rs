//! Log lines on standard output: JSON for machines, text for people, both with trace ids.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Formats one event as one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::Timestamp::now();
        let metadata = event.metadata();
        // tracing-opentelemetry makes the span that is entered the current one.
        let context = opentelemetry::Context::current();
        let span = context.span().span_context().clone();
        let Fields { message, mut rest } = fields;
        match self.0 {
            LogFormat::Json => {
                let mut line = Map::new();
                line.insert("time".into(), format!("{time:.3}").into());
                line.insert("level".into(), metadata.level().as_str().into());
                line.insert("message".into(), message.into());
                line.insert("target".into(), metadata.target().into());
                if span.is_valid() {
                    line.insert("trace_id".into(), span.trace_id().to_string().into());
                    line.insert("span_id".into(), span.span_id().to_string().into());
                }
                line.append(&mut rest);
                writeln!(writer, "{}", Value::Object(line))
            }
            LogFormat::Text => {
                write!(writer, "{time:.3} {:5} {}: {message}", metadata.level(), metadata.target())?;
                for (key, value) in &rest {
                    match value {
                        Value::String(text) if !text.contains(char::is_whitespace) => {
                            write!(writer, " {key}={text}")?;
                        }
                        value => write!(writer, " {key}={value}")?,
                    }
                }
                if span.is_valid() {
                    write!(writer, " trace_id={}", span.trace_id())?;
                }
                writeln!(writer)
            }
        }
    }
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::error::chain(value).into());
    }
}
